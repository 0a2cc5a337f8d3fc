"""Where the time of a start goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.controller.service.start_phases import KEPT_STARTS, Distribution, StartLog, StartPhase

NEW = Replica("r1", ReplicaPhase.PENDING, created_at=100.0)
SCHEDULED = replace(NEW, phase=ReplicaPhase.STARTING, scheduled_at=101.0)
STARTED = replace(SCHEDULED, prepared_at=103.0, started_at=108.0)
READY = replace(STARTED, phase=ReplicaPhase.READY, ready_at=120.0)


def durations(log: StartLog) -> dict[str, float]:
    return {time.phase.value: round(time.seconds, 6) for time in log.take()}


def test_steps_count_when_they_were_seen_by_our_own_clock() -> None:
    log = StartLog()
    log.viewed((), 99.0)
    log.decided(100.0, 1)
    log.viewed((NEW,), 100.4)
    log.viewed((SCHEDULED,), 101.3)
    log.viewed((replace(SCHEDULED, prepared_at=103.0),), 103.5)
    log.viewed((STARTED,), 108.25)
    log.model_ready("r1", 119.5)
    log.viewed((READY,), 120.75)
    log.first_request("r1", 119.75)
    assert durations(log) == {
        "created": 0.4,
        "scheduled": 0.9,
        "prepared": 2.2,
        "started": 4.75,
        "ready": 11.25,
        "first-request": 0.25,
    }


def test_what_a_kubelet_tells_late_happened_in_the_second_that_it_names() -> None:
    log = StartLog()
    log.viewed((), 99.0)
    log.viewed((SCHEDULED,), 101.25)
    log.viewed((replace(STARTED, prepared_at=107.0),), 109.75)
    log.model_ready("r1", 110.0)
    log.viewed((READY,), 111.0)
    assert durations(log) == {"scheduled": 0.0, "prepared": 6.25, "started": 1.0, "ready": 1.5}


def test_a_clock_that_is_wrong_on_another_machine_changes_nothing() -> None:
    log = StartLog()
    log.viewed((), 99.0)
    log.viewed((replace(NEW, created_at=5_000.0),), 100.0)
    log.viewed((replace(SCHEDULED, created_at=5_000.0, scheduled_at=7.0),), 101.5)
    log.viewed((replace(READY, created_at=5_000.0, scheduled_at=7.0, prepared_at=None, started_at=None),), 110.0)
    log.settle(120.0)
    assert durations(log) == {"scheduled": 1.5, "ready": 8.5}


def test_a_replica_that_was_there_before_us_is_measured_by_what_the_cluster_says() -> None:
    log = StartLog()
    log.viewed((READY,), 5_000.0)
    assert durations(log) == {"scheduled": 1.0, "prepared": 2.0, "started": 5.0, "ready": 12.0}


def test_without_a_decision_of_ours_the_first_phase_is_not_known() -> None:
    log = StartLog()
    log.viewed((), 10.0)
    log.decided(50.0, 1)
    log.viewed((NEW,), 100.0)  # long after the order: Kubernetes replaced one
    log.viewed((READY,), 120.0)
    log.settle(130.0)
    assert "created" not in durations(log)


def test_an_order_that_is_decided_again_until_it_is_taken_was_decided_the_first_time() -> None:
    log = StartLog()
    log.viewed((), 90.0)
    log.decided(96.0, 2)
    log.decided(98.0, 2)
    log.viewed((NEW,), 100.0)
    log.viewed((READY,), 120.0)
    log.settle(130.0)
    assert durations(log)["created"] == 4.0


def test_a_kubelet_that_tells_late_that_a_container_runs_makes_no_phase_negative() -> None:
    log = StartLog()
    log.viewed((), 99.0)
    log.viewed((SCHEDULED,), 101.0)
    log.model_ready("r1", 101.5)
    log.viewed((STARTED,), 102.5)
    log.viewed((READY,), 103.0)
    assert durations(log) == {"scheduled": 0.0, "prepared": 0.5, "started": 0.0, "ready": 0.0}


def test_where_only_readiness_is_told_it_counts_from_the_beginning() -> None:
    log = StartLog()
    log.viewed((), 99.0)
    log.viewed((NEW,), 100.0)
    log.viewed((replace(NEW, phase=ReplicaPhase.READY, ready_at=104.25),), 104.5)
    log.settle(110.0)
    assert durations(log) == {"ready": 4.5}


def test_times_of_a_replica_are_put_right() -> None:
    log = StartLog()
    log.viewed((), 99.0)
    log.viewed((NEW,), 100.6)
    log.model_ready("r1", 119.5)
    log.viewed((READY,), 120.75)
    corrected = log.corrected(READY)
    assert (corrected.created_at, corrected.ready_at) == (100.6, 119.5)
    assert log.corrected(replace(READY, name="stranger")) == replace(READY, name="stranger")


def test_each_phase_of_each_start_is_told_once() -> None:
    log = StartLog()
    log.viewed((READY,), 5_000.0)
    log.take()
    for now in range(5_001, 5_010):
        log.viewed((READY,), now)
        log.model_ready("r1", now)
    assert log.take() == ()


@pytest.mark.parametrize(("starts", "count"), [(1, 1), (10, 10), (KEPT_STARTS + 30, KEPT_STARTS)])
def test_distributions_are_of_the_last_starts(starts: int, count: int) -> None:
    log = StartLog()
    log.viewed((), 0.0)
    for number in range(1, starts + 1):
        begun = replace(NEW, name=f"r{number}", created_at=1_000.5 * number)
        log.viewed((begun,), 1_000.5 * number)
        log.viewed((replace(begun, phase=ReplicaPhase.READY, ready_at=1.5),), 1_000.5 * number + number)
        log.settle(1_000.5 * number + number + 10.0)
    found = log.distributions[StartPhase.READY]
    assert (found.count, found.last, found.longest) == (count, starts, starts)
    if starts == 10:
        assert found == Distribution(count=10, p50=5.0, p90=9.0, longest=10.0, last=10.0)
