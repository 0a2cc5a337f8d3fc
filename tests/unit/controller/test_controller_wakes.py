"""How long a wake takes, and which part of it was whose."""

from __future__ import annotations

from autoscaler.cluster.interface import ReplicaPhase
from autoscaler.controller.service.wakes import Measured, WakeLog
from tests.unit.controller.controller_builders import replica


def _woken(decided: float = 100.0, created: float = 100.5, ready: float = 110.0) -> WakeLog:
    log = WakeLog()
    log.decided(decided, before=0, after=2)
    log.replicas([replica("a", created_at=created, ready_at=ready)])
    return log


def test_a_wake_has_its_four_moments() -> None:
    log = _woken()
    log.first_request("a", 110.01)
    (wake,) = log.last(10)
    assert (wake.decided_at, wake.started_at, wake.ready_at, wake.first_request_at) == (100.0, 100.5, 110.0, 110.01)
    assert wake.seconds == 10.0
    assert wake.ordered == 2


def test_an_order_that_is_decided_again_until_it_is_taken_is_one_wake() -> None:
    log = WakeLog()
    log.decided(100.0, before=0, after=1)
    log.decided(100.25, before=0, after=3)
    (wake,) = log.last(10)
    assert (wake.decided_at, wake.ordered) == (100.0, 3)


def test_the_replica_that_is_ready_first_is_the_one_that_counts() -> None:
    log = WakeLog()
    log.decided(100.0, before=0, after=2)
    started = replica("a", ReplicaPhase.STARTING, created_at=100.1)
    log.replicas([started, replica("b", ReplicaPhase.STARTING, created_at=100.2)])
    log.replicas([started, replica("b", created_at=100.2, ready_at=104.0)])
    (wake,) = log.last(10)
    assert (wake.replica, wake.started_at, wake.ready_at) == ("b", 100.2, 104.0)


def test_a_replica_that_still_drains_from_an_earlier_life_is_not_the_woken_one() -> None:
    log = WakeLog()
    log.decided(100.0, before=0, after=1, listed=frozenset({"old"}))
    log.replicas([replica("old", ReplicaPhase.DRAINING, created_at=99.5, ready_at=99.9)])
    assert log.last(1)[0].replica is None


def test_a_wake_that_was_given_up_ends_without_readiness() -> None:
    log = WakeLog()
    log.decided(100.0, before=0, after=1)
    log.decided(200.0, before=1, after=0)
    (wake,) = log.last(10)
    assert wake.ended
    assert wake.seconds is None


def test_the_next_wake_is_another_one() -> None:
    log = _woken()
    log.decided(300.0, before=1, after=0)
    log.decided(400.0, before=0, after=1)
    assert [wake.decided_at for wake in log.last(10)] == [100.0, 400.0]
    assert [wake.decided_at for wake in log.last(1)] == [400.0]
    assert log.last(0) == ()


def test_a_first_request_to_another_replica_says_nothing_of_the_wake() -> None:
    log = _woken()
    log.first_request("b", 111.0)
    assert log.last(1)[0].first_request_at is None


def test_a_wake_is_measured_when_its_first_replica_is_ready() -> None:
    log = WakeLog()
    log.decided(100.0, before=0, after=1)
    assert log.replicas([replica("a", ReplicaPhase.STARTING, created_at=100.1)]).wakes == ()
    assert log.replicas([replica("a", created_at=100.1, ready_at=104.0)]).wakes == (4.0,)


def test_a_wake_is_followed_though_the_machines_time_was_set_back() -> None:
    log = WakeLog()
    log.decided(100.0, before=0, after=1)
    log.replicas([replica("a", created_at=40.0, ready_at=44.0)])
    assert log.last(1)[0].replica == "a"


def test_nothing_is_expected_before_the_first_start() -> None:
    assert WakeLog().expected_seconds() is None


def test_a_restarted_controller_learns_from_a_replica_that_is_ready_already() -> None:
    log = WakeLog()
    assert log.replicas([replica("a", created_at=50.0, ready_at=57.0)]).starts == (7.0,)
    assert log.expected_seconds() == 7.0


def test_a_start_is_measured_once() -> None:
    log = _woken()
    assert log.replicas([replica("a", created_at=100.5, ready_at=110.0)]) == Measured()


def test_what_is_expected_is_what_nine_of_ten_starts_kept() -> None:
    log = WakeLog()
    for number in range(1, 11):
        log.replicas([replica(f"r{number}", created_at=0.0, ready_at=float(number))])
    assert log.expected_seconds() == 9.0


def test_one_slow_start_of_many_does_not_set_the_expectation() -> None:
    log = WakeLog()
    for number in range(19):
        log.replicas([replica(f"r{number}", created_at=0.0, ready_at=5.0)])
    log.replicas([replica("slow", created_at=0.0, ready_at=600.0)])
    assert log.expected_seconds() == 5.0
