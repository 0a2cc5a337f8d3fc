"""Who is next: bands are strict, tenants take turns, a tenant's own requests go in order, and nobody is forgotten."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from activator.budget import Budget
from activator.hold import Hold
from activator.lines import MOST_TENANTS, SHARED, Band, Lines
from activator.messages import HoldBounds, Precedence
from activator.precedence import place_of
from activator.tickets import Held, Refused, Released


class Guest:
    def __init__(self, number: int, band: Band = Band.NORMAL, tenant: bytes = b"") -> None:
        self.number = number
        self.band = band
        self.tenant = tenant

    def __repr__(self) -> str:
        return f"{self.number}:{self.band.name}:{self.tenant!r}"


class Places:
    """Room as a number."""

    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.any_ready = True

    def take(self) -> str | None:
        if self.free == 0:
            return None
        self.free -= 1
        return "place"


def bounds(requests: int = 1_000, size: int = 10**9) -> HoldBounds:
    return HoldBounds(requests=requests, bytes=size, no_endpoint_seconds=60.0, full_seconds=60.0)


def drained(lines: Lines[Guest]) -> list[Guest]:
    order = []
    while (guest := lines.first()) is not None:
        lines.taken(guest)
        order.append(guest)
    return order


def test_a_higher_band_goes_first_and_inside_a_band_the_first_to_come() -> None:
    lines: Lines[Guest] = Lines()
    for number, band in enumerate((Band.LOW, Band.NORMAL, Band.HIGH, Band.NORMAL, Band.HIGH, Band.LOW)):
        lines.append(Guest(number, band))
    assert [guest.number for guest in drained(lines)] == [2, 4, 1, 3, 0, 5]


def test_a_tenant_with_a_hundred_requests_delays_another_by_one() -> None:
    lines: Lines[Guest] = Lines()
    for number in range(100):
        lines.append(Guest(number, tenant=b"many"))
    for number in (100, 101):
        lines.append(Guest(number, tenant=b"few"))
    assert [guest.number for guest in drained(lines)][:5] == [0, 100, 1, 101, 2]


def test_who_reached_nobody_has_the_next_turn_of_its_tenant_in_its_old_order() -> None:
    lines: Lines[Guest] = Lines()
    guests = [Guest(number, tenant=b"ab"[number % 2 : number % 2 + 1]) for number in range(6)]
    for guest in guests:
        lines.append(guest)
    first = lines.first()
    assert first is guests[0]
    lines.taken(first)
    lines.put_back(first)
    assert [guest.number for guest in drained(lines)] == [0, 1, 2, 3, 4, 5]


def test_tenants_beyond_the_bound_share_one_line() -> None:
    lines: Lines[Guest] = Lines()
    for number in range(MOST_TENANTS + 50):
        lines.append(Guest(number, tenant=b"t%d" % number))
    tenants = Counter(guest.tenant for guest in drained(lines))
    assert len(tenants) == MOST_TENANTS + 1
    assert tenants[SHARED] == 50


class Head:
    def __init__(self, **values: bytes) -> None:
        self.values = {name.replace("_", "-").encode(): value for name, value in values.items()}

    def value(self, name: bytes) -> bytes | None:
        return self.values.get(name)


@pytest.mark.parametrize(
    ("precedence", "head", "place"),
    [
        (Precedence(), Head(pilotlight_priority=b"high", x_tenant=b"a"), (Band.NORMAL, b"")),
        (Precedence(True, ""), Head(pilotlight_priority=b"High", x_tenant=b"a"), (Band.HIGH, b"")),
        (Precedence(True, ""), Head(pilotlight_priority=b"low"), (Band.LOW, b"")),
        (Precedence(True, ""), Head(pilotlight_priority=b"urgent"), (Band.NORMAL, b"")),
        (Precedence(False, "x-tenant"), Head(pilotlight_priority=b"high", x_tenant=b"a"), (Band.NORMAL, b"a")),
        (Precedence(False, "x-tenant"), Head(), (Band.NORMAL, b"")),
        (Precedence(False, "x-tenant"), Head(x_tenant=b"a" * 999), (Band.NORMAL, b"a" * 128)),
    ],
)
def test_headers_count_only_where_the_policy_says_so(
    precedence: Precedence, head: Head, place: tuple[Band, bytes]
) -> None:
    assert place_of(head, precedence) == place


TENANTS = st.sampled_from([b"a", b"b", b"c"])
BANDS = st.sampled_from(Band)


@given(guests=st.lists(st.tuples(BANDS, TENANTS), max_size=40))
def test_no_tenant_goes_twice_before_another_of_its_band_that_waits_goes_once(
    guests: list[tuple[Band, bytes]],
) -> None:
    lines: Lines[Guest] = Lines()
    waiting: Counter[tuple[Band, bytes]] = Counter(guests)
    for number, (band, tenant) in enumerate(guests):
        lines.append(Guest(number, band, tenant))
    order = drained(lines)
    assert sorted(guest.number for guest in order) == list(range(len(guests)))
    assert [guest.band for guest in order] == sorted(guest.band for guest in order)
    by_tenant: dict[tuple[Band, bytes], list[int]] = defaultdict(list)
    passed_over: Counter[tuple[Band, bytes]] = Counter()
    for guest in order:
        at = (guest.band, guest.tenant)
        by_tenant[at].append(guest.number)
        waiting[at] -= 1
        passed_over[at] = 0
        for other in waiting:
            if other[0] == guest.band and other != at and waiting[other]:
                passed_over[other] += 1
                assert passed_over[other] <= 3
    assert all(a < b for numbers in by_tenant.values() for a, b in pairwise(numbers))


class LinesModel(RuleBasedStateMachine):
    """Any order of arrivals, departures, releases and returns, with displacement, against a hold that is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Places()
        self.budget = Budget(9, 60)
        self.bounds = bounds(requests=8, size=50)
        self.hold: Hold[int, str] = Hold(self.places, self.bounds, 0.0, self.budget)
        self.held: dict[int, Held[int]] = {}
        self.out: dict[int, Released[int, str]] = {}
        self.ends: Counter[int] = Counter()
        self.came = 0

    @rule(size=st.integers(0, 20), band=BANDS, tenant=TENANTS)
    def arrive(self, size: int, band: Band, tenant: bytes) -> None:
        number, self.came = self.came, self.came + 1
        match self.hold.arrive(0.0, number, size, band, tenant):
            case Released() as released:
                self.out[number] = released
            case Held() as held:
                self.held[number] = held
                while refused := self.hold.put_out():
                    victim = refused.ticket
                    assert victim.band > band or victim.tenant != tenant
                    del self.held[victim.waiter]
                    self.ends[victim.waiter] += 1
            case Refused():
                self.ends[number] += 1

    @rule(free=st.integers(0, 3))
    def release(self, free: int) -> None:
        self.places.free = free
        while released := self.hold.release(0.0):
            ticket = released.ticket
            waiting = [held.ticket for held in self.held.values()]
            assert ticket.band == min(other.band for other in waiting)
            mine = [t.number for t in waiting if (t.band, t.tenant) == (ticket.band, ticket.tenant)]
            assert ticket.number == min(mine)
            del self.held[ticket.waiter]
            self.out[ticket.waiter] = released
        assert not self.held or self.places.free == 0
        self.places.free = 0

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        self.hold.leave(self.held.pop(number).ticket)
        self.ends[number] += 1

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.out)))
        ticket = self.out.pop(number).ticket
        self.hold.put_back(ticket)
        self.held[number] = Held(ticket)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.out)))
        del self.out[number]
        self.ends[number] += 1

    @rule()
    def expire_some(self) -> None:
        refused = self.hold.dismiss(0.0)
        if refused is None:
            assert not self.held
            return
        assert refused.ticket.number == min(held.ticket.number for held in self.held.values())
        del self.held[refused.ticket.waiter]
        self.ends[refused.ticket.waiter] += 1

    @invariant()
    def everything_is_counted(self) -> None:
        size = sum(held.ticket.size for held in self.held.values())
        assert (len(self.hold), self.hold.bytes) == (len(self.held), size)
        assert (self.budget.requests, self.budget.size) == (len(self.held), size)
        assert all(count == 1 for count in self.ends.values())
        assert self.came == len(self.held) + len(self.out) + len(self.ends)


LinesModel.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLinesModel = LinesModel.TestCase


def test_an_event_costs_the_same_with_twenty_thousand_of_a_hundred_tenants_waiting() -> None:
    def seconds_for(waiting: int) -> float:
        places = Places()
        hold: Hold[int, str] = Hold(places, bounds(requests=waiting), 0.0)
        for number in range(waiting):
            hold.arrive(0.0, number, 1, Band(number % 3), b"t%d" % (number % 100))
        began = time.thread_time()
        for number in range(900):
            places.free = 1
            assert hold.release(1.0)
            hold.arrive(1.0, number, 1, Band(number % 3), b"t%d" % (number % 100))
            hold.arrive(1.0, number, 1, Band.HIGH, b"new")
            while hold.put_out():
                pass
        return time.thread_time() - began

    few = min(seconds_for(2_000) for _ in range(5))
    many = min(seconds_for(20_000) for _ in range(5))
    assert many < 4 * few
