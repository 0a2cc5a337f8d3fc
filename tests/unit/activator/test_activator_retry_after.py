"""When whoever is refused should come again: what is left of a wake, or what the queue takes."""

from __future__ import annotations

import pytest

from activator.hold import Hold
from activator.messages import HoldBounds
from activator.tickets import Refused
from tests.unit.activator.hold_builders import Places, held, hold_with, refusal


def bounds(requests: int = 1_000, size: int = 10**9) -> HoldBounds:
    return HoldBounds(requests=requests, bytes=size, no_endpoint_seconds=60.0, full_seconds=60.0)


@pytest.mark.parametrize(
    ("expected_wake", "waited", "retry_after"),
    [(None, 3.0, 10), (45.0, 0.0, 45), (45.0, 30.5, 15), (45.0, 44.9, 1), (45.0, 50.0, 45)],
)
def test_while_nothing_is_ready_retry_after_is_what_is_left_of_the_wake(
    expected_wake: float | None, waited: float, retry_after: int
) -> None:
    hold = hold_with(Places(), HoldBounds(requests=1, bytes=1, no_endpoint_seconds=60.0, full_seconds=20.0))
    hold.rule(HoldBounds(requests=1, bytes=1, no_endpoint_seconds=60.0, full_seconds=20.0), expected_wake)
    held(hold, 1_000.0, "first")
    assert refusal(hold, 1_000.0 + waited).retry_after == retry_after


def test_while_endpoints_are_full_retry_after_is_how_long_the_queue_takes() -> None:
    places = Places(any_ready=True)
    hold = hold_with(places, HoldBounds(requests=1, bytes=1, no_endpoint_seconds=60.0, full_seconds=20.0))
    held(hold, 0.0, "a")
    assert refusal(hold, 0.0).retry_after == 1
    places.free = 1
    hold.release(6.2)
    held(hold, 6.2, "b")
    assert refusal(hold, 6.2).retry_after == 7


@pytest.mark.parametrize(
    ("waiting", "seconds_between", "retry_after"), [(10, 0.5, 5), (40, 0.5, 20), (1, 0.01, 1), (500, 0.5, 60)]
)
def test_retry_after_is_what_the_queue_takes_at_its_measured_rate(
    waiting: int, seconds_between: float, retry_after: int
) -> None:
    places = Places(any_ready=True)
    hold: Hold[str, str] = Hold(places, bounds(requests=waiting), 0.0)
    for _ in range(waiting):
        hold.arrive(0.0, "x", 0)
    now = 0.0
    for _ in range(20):
        now += seconds_between
        places.free = 1
        assert hold.release(now)
        hold.arrive(now, "x", 0)
    refused = hold.arrive(now, "late", 0)
    assert isinstance(refused, Refused)
    assert refused.retry_after == retry_after


ONE = HoldBounds(requests=1, bytes=1, no_endpoint_seconds=600.0, full_seconds=600.0)


def one_waits_for(hold: Hold[str, str], places: Places, since: float, until: float) -> None:
    """One comes and is released; then another waits, so that the next is refused."""
    held(hold, since, "one")
    places.free = 1
    assert hold.release(until)
    held(hold, until, "another")


def test_a_time_in_which_nobody_waited_is_not_a_long_way_between_two_releases() -> None:
    places = Places(any_ready=True)
    hold = hold_with(places, ONE)
    one_waits_for(hold, places, 100.0, 101.0)
    assert refusal(hold, 101.0).retry_after == 1


def test_a_time_in_which_nothing_was_ready_is_not_either() -> None:
    places = Places()
    hold = hold_with(places, ONE)
    held(hold, 0.0, "one")
    places.any_ready = True
    assert hold.observe(100.0)
    places.free = 1
    assert hold.release(101.0)
    held(hold, 101.0, "another")
    assert refusal(hold, 101.0).retry_after == 1


def test_a_gap_that_is_still_open_counts_once_it_is_longer_than_the_mean() -> None:
    places = Places(any_ready=True)
    hold = hold_with(places, ONE)
    one_waits_for(hold, places, 0.0, 2.0)
    assert [refusal(hold, now).retry_after for now in (2.0, 3.9, 12.0)] == [2, 2, 10]


def test_a_sixteenth_of_what_a_gap_is_longer_moves_the_mean() -> None:
    places = Places(any_ready=True)
    hold = hold_with(places, ONE)
    one_waits_for(hold, places, 0.0, 2.0)
    places.free = 1
    assert hold.release(2.0 + 34.0)
    held(hold, 36.0, "third")
    assert refusal(hold, 36.0).retry_after == 4
