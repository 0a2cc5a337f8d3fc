"""The limiter's laws, and the few places where its meaning could have been another."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from queue_proxy.limiter import Limiter, LimiterError, QueueBounds
from queue_proxy.tickets import Ticket, TicketState


class Named(Ticket):
    """A ticket that a failed assertion can name."""

    def __init__(self, name: str, most_bytes: int = 0) -> None:
        self.name = name
        self._most_bytes = most_bytes

    def most_bytes(self) -> int:
        return self._most_bytes

    def __repr__(self) -> str:
        return f"{self.name!r} {self.state.value}"


def come(limiter: Limiter[Named], name: str, now: float, most_bytes: int = 0) -> Named:
    ticket = Named(name, most_bytes)
    assert limiter.arrive(ticket, now) is ticket.state
    return ticket


RUNNING, WAITING, REFUSED = TicketState.RUNNING, TicketState.WAITING, TicketState.REFUSED


def test_room_is_taken_then_the_line_then_arrivals_are_refused() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds(requests=1))
    assert [come(limiter, name, 0.0).state for name in "abc"] == [RUNNING, WAITING, REFUSED]


def test_who_would_take_too_much_memory_is_refused_and_who_takes_less_may_still_wait() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds(bytes=100))
    tickets = [come(limiter, str(size), 0.0, size) for size in (500, 60, 41, 40, 1)]
    assert [ticket.state for ticket in tickets] == [RUNNING, WAITING, REFUSED, WAITING, REFUSED]
    limiter.leave(tickets[1])
    assert limiter.bytes == 40


def test_without_a_limit_everybody_runs() -> None:
    limiter: Limiter[Named] = Limiter(None, QueueBounds(requests=0))
    assert {come(limiter, str(number), 0.0).state for number in range(1000)} == {RUNNING}


def test_a_release_admits_the_one_who_came_first_in_the_same_call() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    first, second, _third = (come(limiter, name, 0.0) for name in "abc")
    assert limiter.release(first) == (second,)
    assert second.state is RUNNING


def test_a_newcomer_does_not_overtake_those_in_line() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    holder, waiter = come(limiter, "holder", 0.0), come(limiter, "waiter", 0.0)
    limiter.release(holder)
    assert come(limiter, "newcomer", 1.0).state is WAITING
    assert waiter.state is RUNNING


def test_a_waiter_that_left_never_gets_a_slot() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    holder, gone, stays = (come(limiter, name, 0.0) for name in "abc")
    limiter.leave(gone)
    assert limiter.release(holder) == (stays,)
    assert gone.state is TicketState.LEFT


@pytest.mark.parametrize("end", ["release", "leave"])
def test_a_slot_released_twice_is_an_error(end: str) -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    ticket = come(limiter, "a", 0.0)
    limiter.release(ticket)
    with pytest.raises(LimiterError, match="'a' done"):
        limiter.release(ticket) if end == "release" else limiter.leave(ticket)
    assert limiter.running == 0


def test_a_waiter_cannot_release_the_slot_it_does_not_have() -> None:
    limiter: Limiter[Named] = Limiter(0, QueueBounds())
    with pytest.raises(LimiterError, match="waiting"):
        limiter.release(come(limiter, "a", 0.0))


def test_age_expires_from_the_head_and_exactly_at_the_bound() -> None:
    limiter: Limiter[Named] = Limiter(0, QueueBounds(seconds=10.0))
    old, young = come(limiter, "old", 0.0), come(limiter, "young", 5.0)
    assert limiter.next_expiry() == 10.0
    assert limiter.expire(9.999) == ()
    assert limiter.expire(10.0) == (old,)
    assert old.state is TicketState.EXPIRED
    assert limiter.next_expiry() == 15.0
    assert young.state is WAITING


def test_raising_the_limit_lets_in_as_many_as_have_room() -> None:
    limiter: Limiter[Named] = Limiter(0, QueueBounds())
    tickets = [come(limiter, name, 0.0) for name in "abcd"]
    assert limiter.resize(3) == tuple(tickets[:3])
    assert limiter.resize(None) == (tickets[3],)


def test_lowering_the_limit_stops_nobody_and_admits_nobody_until_enough_have_left() -> None:
    limiter: Limiter[Named] = Limiter(3, QueueBounds())
    tickets = [come(limiter, name, 0.0) for name in "abcd"]
    assert limiter.resize(1) == ()
    assert limiter.running == 3
    assert limiter.release(tickets[0]) == ()
    assert limiter.release(tickets[1]) == ()
    assert limiter.release(tickets[2]) == (tickets[3],)


@pytest.mark.parametrize("limit", [-1, -100])
def test_a_negative_limit_is_refused_by_name(limit: int) -> None:
    with pytest.raises(ValueError, match=str(limit)):
        Limiter[Named](limit, QueueBounds())


@pytest.mark.parametrize(
    ("requests", "seconds", "size"),
    [(-1, None, None), (None, 0.0, None), (None, -1.0, None), (None, float("nan"), None), (None, None, -1)],
)
def test_impossible_bounds_are_refused(requests: int | None, seconds: float | None, size: int | None) -> None:
    with pytest.raises(ValueError, match=r"must be positive|cannot hold"):
        QueueBounds(requests, seconds, size)


def test_a_retired_slot_is_for_those_in_line_and_not_for_a_newcomer() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    first, second = (come(limiter, name, 0.0) for name in "ab")
    limiter.retire(first)
    assert limiter.has_room
    assert come(limiter, "c", 1.0).state is WAITING
    assert limiter.admit() is second


def test_a_reserved_slot_counts_as_running_before_it_is_redeemed_and_after() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    limiter.reserve()
    assert (limiter.running, limiter.has_room) == (1, False)
    with pytest.raises(LimiterError, match="no slot is free that could be reserved"):
        limiter.reserve()
    holder = Named("a")
    limiter.redeem(holder, 1.0)
    assert (limiter.running, holder.state, holder.arrived_at) == (1, RUNNING, 1.0)
    assert come(limiter, "b", 1.0).state is WAITING
    limiter.release(holder)
    assert limiter.running == 1


@pytest.mark.parametrize("give_back", ["redeem", "unreserve"])
def test_a_reservation_is_used_or_given_up_only_once(give_back: str) -> None:
    limiter: Limiter[Named] = Limiter(2, QueueBounds())
    limiter.reserve()
    limiter.unreserve()
    assert limiter.running == 0
    come(limiter, "a", 0.0)
    with pytest.raises(LimiterError, match="no slot is reserved"):
        limiter.unreserve() if give_back == "unreserve" else limiter.redeem(Named("b"), 0.0)
    assert limiter.running == 1


def test_nobody_is_admitted_without_a_slot_or_without_anybody_in_line() -> None:
    limiter: Limiter[Named] = Limiter(1, QueueBounds())
    with pytest.raises(LimiterError, match="nobody waits, or no slot is free"):
        limiter.admit()
    for name in "ab":
        come(limiter, name, 0.0)
    with pytest.raises(LimiterError, match="nobody waits, or no slot is free"):
        limiter.admit()


class LimiterLaws(RuleBasedStateMachine):
    """Against a model so plain that it cannot be wrong: a list of who runs and a list of who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.limit: int | None = 2
        self.bounds = QueueBounds(requests=3, seconds=5.0, bytes=10)
        self.limiter: Limiter[Named] = Limiter(self.limit, self.bounds)
        self.now = 0.0
        self.arrivals = 0
        self.running: list[Named] = []
        self.line: deque[Named] = deque()
        self.over_by = 0

    def admit(self, reported: tuple[Named, ...]) -> None:
        expected = []
        while self.line and (self.limit is None or len(self.running) < self.limit):
            expected.append(self.line.popleft())
            self.running.append(expected[-1])
        assert reported == tuple(expected)

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(size=st.integers(0, 8))
    def arrive(self, size: int) -> None:
        ticket = come(self.limiter, str(self.arrivals), self.now, size)
        self.arrivals += 1
        if not self.line and (self.limit is None or len(self.running) < self.limit):
            assert ticket.state is RUNNING
            self.running.append(ticket)
        elif len(self.line) >= 3 or sum(one.most_bytes() for one in self.line) + size > 10:
            assert ticket.state is REFUSED
        else:
            assert ticket.state is WAITING
            self.line.append(ticket)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ticket = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.admit(self.limiter.release(ticket))

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = self.line[data.draw(st.integers(0, len(self.line) - 1))]
        self.line.remove(ticket)
        self.limiter.leave(ticket)

    @rule(limit=st.none() | st.integers(0, 4))
    def resize(self, limit: int | None) -> None:
        self.limit = limit
        self.admit(self.limiter.resize(limit))

    @rule()
    def expire(self) -> None:
        due = []
        while self.line and self.bounds.seconds is not None:
            if self.line[0].arrived_at + self.bounds.seconds > self.now:
                break
            due.append(self.line.popleft())
        assert self.limiter.expire(self.now) == tuple(due)

    @invariant()
    def nobody_is_lost_or_counted_twice(self) -> None:
        assert self.limiter.running == len(self.running)
        assert self.limiter.bytes == sum(ticket.most_bytes() for ticket in self.line)
        assert self.limiter.line() == tuple(self.line)
        assert {ticket.state for ticket in self.running} <= {RUNNING}
        assert {ticket.state for ticket in self.line} <= {WAITING}

    @invariant()
    def nobody_waits_while_a_slot_is_free(self) -> None:
        assert not self.line or (self.limit is not None and len(self.running) >= self.limit)


TestLimiterLaws = LimiterLaws.TestCase
TestLimiterLaws.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
