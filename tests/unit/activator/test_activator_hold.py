"""The hold: two clocks, three bounds, one order, and every ticket ends exactly once."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from activator.hold import Hold
from activator.messages import HoldBounds
from activator.tickets import Cause, Held, Refused, Regime, Released, Ticket, TicketState
from tests.unit.activator.hold_builders import Places, held, hold_with, refusal


def released_names(hold: Hold[str, str], now: float) -> list[str]:
    names = []
    while released := hold.release(now):
        names.append(released.ticket.waiter)
    return names


def expired(hold: Hold[str, str], now: float) -> list[Refused[str]]:
    refusals = []
    while refused := hold.expire(now):
        refusals.append(refused)
    return refusals


def test_with_room_and_nobody_ahead_a_request_goes_at_once() -> None:
    assert isinstance(hold_with(Places(1, any_ready=True)).arrive(0.0, "a", 0), Released)


def test_a_newcomer_does_not_overtake_who_waits() -> None:
    places = Places(0, any_ready=True)
    hold = hold_with(places)
    held(hold, 0.0, "first")
    places.free = 1
    held(hold, 1.0, "second")
    assert released_names(hold, 1.0) == ["first"]


def test_no_more_leave_than_there_is_room_for() -> None:
    places = Places()
    hold = hold_with(places)
    for name in "abcde":
        held(hold, 0.0, name)
    places.any_ready, places.free = True, 2
    assert released_names(hold, 1.0) == ["a", "b"]
    places.free = 1
    assert released_names(hold, 1.0) == ["c"]


def test_a_waiter_that_left_is_never_released_and_frees_its_bytes() -> None:
    places = Places()
    hold = hold_with(places)
    first = held(hold, 0.0, "a", 600)
    held(hold, 0.0, "b", 400)
    hold.leave(first)
    assert (len(hold), hold.bytes) == (1, 400)
    held(hold, 0.0, "c", 600)
    places.any_ready, places.free = True, 9
    assert released_names(hold, 1.0) == ["b", "c"]


def test_requests_that_come_back_wait_ahead_in_their_old_order() -> None:
    places = Places()
    hold = hold_with(places)
    tickets = [held(hold, 0.0, name) for name in "abcde"]
    places.any_ready, places.free = True, 3
    assert released_names(hold, 1.0) == ["a", "b", "c"]
    for index in (1, 2, 0):
        hold.put_back(tickets[index])
    places.free = 9
    assert released_names(hold, 2.0) == ["a", "b", "c", "d", "e"]


def test_a_request_that_came_back_and_left_is_forgotten() -> None:
    places = Places()
    hold = hold_with(places)
    tickets = [held(hold, 0.0, name, 10) for name in "abc"]
    places.any_ready, places.free = True, 2
    released_names(hold, 1.0)
    hold.put_back(tickets[1])
    hold.put_back(tickets[0])
    hold.leave(tickets[1])
    assert (len(hold), hold.bytes) == (2, 20)
    places.free = 9
    assert released_names(hold, 1.0) == ["a", "c"]
    assert (len(hold), hold.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("any_ready", "seconds", "regime"),
    [(False, 60.0, Regime.NO_ENDPOINT), (True, 20.0, Regime.FULL)],
)
def test_each_regime_has_its_own_clock(any_ready: bool, seconds: float, regime: Regime) -> None:
    hold = hold_with(Places(any_ready=any_ready))
    held(hold, 100.0, "a")
    assert hold.next_deadline() == 100.0 + seconds
    assert expired(hold, 99.9 + seconds) == []
    (refused,) = expired(hold, 100.0 + seconds)
    assert (refused.cause, refused.regime) == (Cause.WAITED_TOO_LONG, regime)


def test_the_budget_starts_again_when_the_first_endpoint_becomes_ready() -> None:
    places = Places()
    hold = hold_with(places)
    held(hold, 0.0, "a")
    places.any_ready = True
    assert hold.observe(59.0)
    assert not hold.observe(59.5)
    assert expired(hold, 78.9) == []
    assert [refused.regime for refused in expired(hold, 79.0)] == [Regime.FULL]


def test_a_service_that_flaps_cannot_hold_a_request_for_ever() -> None:
    places = Places()
    hold = hold_with(places)
    held(hold, 0.0, "a")
    for second in range(1, 80):
        places.any_ready = second % 2 == 0
        hold.observe(float(second))
        assert expired(hold, float(second)) == []
    assert len(expired(hold, 80.0)) == 1


def test_expiry_takes_only_those_whose_time_has_come_in_order() -> None:
    hold = hold_with(Places())
    for second in range(5):
        held(hold, float(second), str(second))
    assert [refused.ticket.waiter for refused in expired(hold, 62.0)] == ["0", "1", "2"]
    assert hold.next_deadline() == 63.0


def test_zero_seconds_switch_a_clock_off() -> None:
    hold = hold_with(Places(), HoldBounds(requests=1, bytes=1, no_endpoint_seconds=0.0, full_seconds=20.0))
    held(hold, 0.0, "a")
    assert hold.next_deadline() is None
    assert expired(hold, 1e9) == []


def test_the_number_and_the_bytes_that_wait_are_bounded() -> None:
    hold = hold_with(Places(), HoldBounds(requests=2, bytes=100, no_endpoint_seconds=60.0, full_seconds=20.0))
    held(hold, 0.0, "a", 60)
    assert refusal(hold, 0.0, size=41).cause is Cause.TOO_MANY_BYTES_WAITING
    held(hold, 0.0, "b", 40)
    assert refusal(hold, 0.0).cause is Cause.TOO_MANY_WAITING
    assert (len(hold), hold.bytes) == (2, 100)


def test_smaller_bounds_refuse_newcomers_and_keep_who_was_accepted() -> None:
    hold = hold_with(Places())
    for name in "abc":
        held(hold, 0.0, name)
    hold.rule(HoldBounds(requests=1, bytes=1, no_endpoint_seconds=5.0, full_seconds=5.0), None)
    assert refusal(hold, 0.0).cause is Cause.TOO_MANY_WAITING
    assert len(hold) == 3
    assert hold.next_deadline() == 5.0


def test_ending_refuses_everybody() -> None:
    hold = hold_with(Places())
    for name in "abc":
        held(hold, 0.0, name)
    causes = []
    while refused := hold.dismiss(1.0):
        causes.append(refused.cause)
    assert causes == [Cause.DRAINING] * 3
    assert len(hold) == 0


def test_an_event_costs_the_same_with_twenty_thousand_waiting() -> None:
    def seconds_for(waiting: int) -> float:
        places = Places()
        wide = HoldBounds(requests=10**6, bytes=10**9, no_endpoint_seconds=60.0, full_seconds=20.0)
        hold = hold_with(places, wide)
        tickets = [held(hold, 0.0, "x", 1) for _ in range(waiting)]
        places.any_ready = True
        began = time.thread_time()
        for index in range(900):
            hold.leave(tickets[waiting // 2 + index])
            places.free = 1
            assert hold.release(1.0)
            hold.expire(1.0)
            hold.next_deadline()
        return time.thread_time() - began

    few = min(seconds_for(2_000) for _ in range(5))
    many = min(seconds_for(20_000) for _ in range(5))
    assert many < 4 * few


class HoldModel(RuleBasedStateMachine):
    """Any order of events: first come first served, never more than there is room, every ticket ends exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Places()
        self.bounds = HoldBounds(requests=6, bytes=40, no_endpoint_seconds=10.0, full_seconds=4.0)
        self.hold: Hold[int, str] = Hold(self.places, self.bounds, 0.0)
        self.now = 0.0
        self.waiting: dict[int, Ticket[int]] = {}
        self.out: dict[int, Ticket[int]] = {}
        self.ends: Counter[int] = Counter()
        self.came = 0
        self.came_back = 0

    @rule(size=st.integers(0, 20))
    def arrive(self, size: int) -> None:
        number, self.came = self.came, self.came + 1
        free, bytes_before = self.places.free, self.hold.bytes
        effect = self.hold.arrive(self.now, number, size)
        match effect:
            case Released():
                assert not self.waiting
                assert free > 0
                assert self.places.any_ready
                self.out[number] = effect.ticket
            case Held():
                assert len(self.waiting) < self.bounds.requests
                assert bytes_before + size <= self.bounds.bytes
                self.waiting[number] = effect.ticket
            case Refused():
                assert len(self.waiting) >= self.bounds.requests or bytes_before + size > self.bounds.bytes
                self.ends[number] += 1

    @rule()
    def release(self) -> None:
        free, oldest = self.places.free, min(self.waiting, default=None)
        released = self.hold.release(self.now)
        if released is None:
            assert oldest is None or free == 0 or not self.places.any_ready
            return
        assert released.ticket.waiter == oldest
        assert self.places.free == free - 1
        self.out[oldest] = self.waiting.pop(oldest)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        self.hold.leave(self.waiting.pop(number))
        self.ends[number] += 1

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.out)))
        self.hold.put_back(self.out[number])
        self.waiting[number] = self.out.pop(number)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.out)))
        del self.out[number]
        self.ends[number] += 1
        self.places.free += 1

    @rule(any_ready=st.booleans(), free=st.integers(0, 4))
    def endpoints_change(self, any_ready: bool, free: int) -> None:
        self.places.any_ready, self.places.free = any_ready, free
        self.hold.observe(self.now)

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        last = -1
        while refused := self.hold.expire(self.now):
            number = refused.ticket.waiter
            assert number == min(self.waiting)
            assert number > last
            last = number
            del self.waiting[number]
            self.ends[number] += 1
        longest = self.bounds.no_endpoint_seconds + self.bounds.full_seconds
        assert all(ticket.arrived_at + longest > self.now for ticket in self.waiting.values())

    @invariant()
    def nothing_is_lost_and_nothing_ends_twice(self) -> None:
        assert len(self.hold) == len(self.waiting)
        assert self.hold.bytes == sum(ticket.size for ticket in self.waiting.values())
        assert all(ticket.state is TicketState.HELD for ticket in self.waiting.values())
        assert all(count == 1 for count in self.ends.values())
        assert self.came == len(self.waiting) + len(self.out) + len(self.ends)


HoldModel.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestHoldModel = HoldModel.TestCase
