"""What is remembered: decisions, faults, and the time."""

from __future__ import annotations

import logging

import pytest

from autoscaler.controller.clock import anchored_clock
from autoscaler.controller.service.faults import FaultKind, Faults
from autoscaler.controller.service.history import DecisionHistory
from autoscaler.decide.decision import Decision, Phase, Reason
from autoscaler.signals.observation import ReplicaCounts
from tests.unit.controller.controller_builders import CHAT


def decision(at: float, desired: int = 0, reason: Reason = Reason.ASLEEP) -> Decision:
    return Decision(
        service=CHAT,
        at=at,
        phase=Phase.ASLEEP,
        replicas=ReplicaCounts(wanted=0, ready=0),
        candidates=(),
        winner=None,
        limits=(),
        desired=desired,
        reason=reason,
        panic=False,
        excess_burst_capacity=0,
        activator_in_path=True,
        said="",
    )


def test_the_newest_decisions_are_kept_oldest_first() -> None:
    history = DecisionHistory(decisions=3)
    for at in range(5):
        history.add(decision(float(at)))
    assert [d.at for d in history.last(10)] == [2.0, 3.0, 4.0]
    assert [d.at for d in history.last(2)] == [3.0, 4.0]
    assert history.last(0) == ()
    assert history.last(-1) == ()


def test_why_it_fell_asleep_outlives_a_thousand_decisions_to_stay_asleep() -> None:
    history = DecisionHistory(30)
    history.add(decision(0.0, reason=Reason.SLEEP))
    for at in range(1, 5_000):
        history.add(decision(float(at)))
    assert [(d.at, d.reason) for d in history.last_changes(10)] == [(0.0, Reason.SLEEP), (1.0, Reason.ASLEEP)]


def test_a_decision_that_says_the_same_is_no_change() -> None:
    history = DecisionHistory(30)
    assert history.add(decision(0.0))
    assert not history.add(decision(2.0))
    assert history.add(decision(4.0, desired=1, reason=Reason.WAKE))


def test_a_fault_is_logged_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(CHAT)
    with caplog.at_level(logging.INFO):
        for at in range(5):
            faults.add(FaultKind.SCRAPE, "no answer", float(at), subject="a")
    assert [record.getMessage() for record in caplog.records] == [f"{CHAT}: scrape: no answer"]
    (fault,) = faults.current
    assert (fault.since, fault.last, fault.times) == (0.0, 4.0, 5)
    assert faults.counts[FaultKind.SCRAPE] == 5


def test_what_went_well_again_is_no_fault_but_stays_counted() -> None:
    faults = Faults(CHAT)
    faults.add(FaultKind.ORDER, "no", 1.0)
    faults.clear(FaultKind.ORDER)
    assert faults.current == ()
    assert faults.worst is None
    assert faults.counts[FaultKind.ORDER] == 1


def test_faults_of_replicas_that_are_gone_are_gone() -> None:
    faults = Faults(CHAT)
    for name in ("a", "b"):
        faults.add(FaultKind.SCRAPE, "no", 1.0, subject=name)
    faults.keep_subjects(FaultKind.SCRAPE, {"b"})
    assert [fault.subject for fault in faults.current] == ["b"]


def test_a_policy_that_cannot_be_read_is_shown_before_all_that_follows_from_it() -> None:
    faults = Faults(CHAT)
    faults.add(FaultKind.POLICY, "first", 1.0)
    faults.add(FaultKind.SCRAPE, "later", 2.0, subject="a")
    assert faults.worst is not None
    assert faults.worst.kind is FaultKind.POLICY


def test_a_message_without_end_is_cut() -> None:
    faults = Faults(CHAT)
    faults.add(FaultKind.ORDER, "x" * 1_000_000, 1.0)
    assert len(faults.current[0].message) == 2_000


def test_the_clock_ignores_steps_of_the_machines_time() -> None:
    wall, monotonic = [1_000.0], [5.0]
    clock = anchored_clock(lambda: wall[0], lambda: monotonic[0])
    assert clock() == 1_000.0
    wall[0] -= 3_600.0
    monotonic[0] += 2.5
    assert clock() == 1_002.5
