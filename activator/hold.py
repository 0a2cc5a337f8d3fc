"""The hold: requests that wait because nothing can serve them, or because everything that can is full.

Pure: no I/O and no clock; `now` comes in, effects come out, and whoever called carries them out. Every request that
comes in gets a ticket (`activator.tickets`).

Two clocks, because two different things can be wrong and a client should do different things about them:

    no endpoint   nothing is ready. The answer is 503, to be tried again when the wake is expected to be over.
    full          endpoints are ready and busy. The answer is 429, to be tried again when the queue has moved on.

When one turns into the other, everybody's budget starts again: who has waited nine minutes for a model to load must not
be refused in the first second of its readiness because the other clock would already have run out. So that a service
that flaps cannot hold a request for ever, no ticket lives longer than both budgets together.

All tickets have the same budgets, so the first to come is always the first to expire: one line in order of arrival is
the line of deadlines, and no event needs to look at more than its head. Who goes next is another question, of
priorities and tenants, and has its own lines (`activator.lines`). With one band and one tenant, both are the same.

Three bounds: on requests, on bytes, on age; the first two also over all services together (`activator.budget`). When no
more may wait, a newcomer of a higher band, or of a tenant that takes less, puts out the newest of those who take most.
Otherwise whoever comes first and in great number would have the whole hold, and turns would be worth nothing.
"""

from __future__ import annotations

import math
from typing import Generic, Protocol, TypeVar

from activator.budget import Budget, unbounded
from activator.lines import Band, Line, Lines, Tenant
from activator.messages import HoldBounds
from activator.tickets import Cause, Held, Place, Refused, Regime, Released, Ticket, TicketState, Waiter

PlaceOut = TypeVar("PlaceOut", covariant=True)

DEFAULT_RETRY_AFTER_SECONDS = 10
LONGEST_QUEUE_RETRY_AFTER_SECONDS = 60
# A gap between two releases counts this much in their average: the last 16 or so decide.
_SHARE_OF_ONE_GAP = 1 / 16


class Room(Protocol[PlaceOut]):
    """Where released requests go. `take` gives out room for exactly one."""

    @property
    def any_ready(self) -> bool:
        """Whether anybody serves at all, full or not."""
        ...

    def take(self) -> PlaceOut | None:
        """Room for one request, None when there is none."""
        ...


class Hold(Generic[Waiter, Place]):
    """Requests of one service that wait. Every method costs O(1), amortised, apart from what it returns."""

    def __init__(self, room: Room[Place], bounds: HoldBounds, now: float, budget: Budget | None = None) -> None:
        self._room = room
        self._bounds = bounds
        self._budget = unbounded() if budget is None else budget
        self._expected_wake: float | None = None
        self._regime = Regime.FULL if room.any_ready else Regime.NO_ENDPOINT
        self._regime_since = now
        self._next_number = 0
        self._by_age: Line[Ticket[Waiter]] = Line()
        self._lines: Lines[Ticket[Waiter]] = Lines()
        self._put_out: list[Refused[Waiter]] = []
        self._bytes = 0
        # From when the gap to the next release counts: the last release, or since when somebody waits for one.
        self._gap_since = now
        self._mean_gap: float | None = None

    def __len__(self) -> int:
        return len(self._by_age)

    @property
    def bytes(self) -> int:
        """Bytes counted for what waits."""
        return self._bytes

    @property
    def regime(self) -> Regime:
        """What waiting requests wait for."""
        return self._regime

    def rule(self, bounds: HoldBounds, expected_wake: float | None) -> None:
        """New bounds and a new expectation of a wake (seconds). What waits already was accepted and stays, though its
        age is judged by the new bounds."""
        self._bounds = bounds
        self._expected_wake = expected_wake

    def observe(self, now: float) -> bool:
        """Look whether somebody is ready; True when the regime has changed, and with it everybody's clock."""
        regime = Regime.FULL if self._room.any_ready else Regime.NO_ENDPOINT
        if regime is self._regime:
            return False
        self._regime, self._regime_since = regime, now
        self._gap_since = now
        return True

    def arrive(
        self, now: float, waiter: Waiter, size: int, band: Band = Band.NORMAL, tenant: Tenant = b""
    ) -> Released[Waiter, Place] | Held[Waiter] | Refused[Waiter]:
        """A new request: forwarded at once when there is room and nobody waits ahead of it, else held or refused.

        When it is held it may have put out another: ask `put_out`.
        """
        ticket = Ticket(waiter, self._next_number, size, now, band, tenant)
        self._next_number += 1
        if not len(self):
            place = self._room.take()
            if place is not None:
                ticket.state = TicketState.RELEASED
                return Released(ticket, place)
            self._gap_since = now
        if (cause := self._too_much(size)) is not None:
            victim = self._lines.yields_to(band, tenant)
            if victim is None or self._too_much(size, victim) is not None:
                ticket.state = TicketState.REFUSED
                return Refused(ticket, cause, self._regime, self._retry_after(now))
            self._put_out.append(self._refuse(victim, Cause.PUT_OUT, now))
        self._by_age.append(ticket)
        self._lines.append(ticket)
        self._count(ticket)
        return Held(ticket)

    def put_out(self) -> Refused[Waiter] | None:
        """The next request that had to make room for another, None when there is none. Call until None."""
        return self._put_out.pop() if self._put_out else None

    def put_back(self, ticket: Ticket[Waiter]) -> None:
        """A released request reached nobody: it waits again, in its old order. It was accepted once, so bounds do not
        refuse it now; its age still counts from its arrival."""
        if ticket.state is not TicketState.RELEASED:
            raise ValueError(f"only a released ticket can come back, not {ticket}")
        ticket.state = TicketState.HELD
        self._by_age.put_back(ticket)
        self._lines.put_back(ticket)
        self._count(ticket)

    def leave(self, ticket: Ticket[Waiter]) -> None:
        """The client of a held request is gone."""
        if ticket.state is not TicketState.HELD:
            raise ValueError(f"only a held ticket can leave, not {ticket}")
        self._lines.remove(ticket)
        self._take_out(ticket, TicketState.LEFT)

    def next(self) -> Ticket[Waiter] | None:
        """Who goes when there is room, None when nobody waits."""
        return self._lines.first()

    def release(self, now: float) -> Released[Waiter, Place] | None:
        """The next request and its place, None when nobody waits or there is no room. Call until None."""
        ticket = self._lines.first()
        if ticket is None:
            return None
        place = self._room.take()
        if place is None:
            return None
        self._lines.taken(ticket)
        self._take_out(ticket, TicketState.RELEASED)
        gap = now - self._gap_since
        self._gap_since = now
        if self._mean_gap is None:
            self._mean_gap = gap
        else:
            self._mean_gap += _SHARE_OF_ONE_GAP * (gap - self._mean_gap)
        return Released(ticket, place)

    def expire(self, now: float) -> Refused[Waiter] | None:
        """The next request whose clock has run out, None when there is none. Call until None."""
        ticket = self._by_age.first()
        if ticket is None or now < self._deadline(ticket):
            return None
        return self._refuse(ticket, Cause.WAITED_TOO_LONG, now)

    def dismiss(self, now: float) -> Refused[Waiter] | None:
        """The next request of all that wait: the activator ends and can hold it no longer. Call until None."""
        ticket = self._by_age.first()
        return None if ticket is None else self._refuse(ticket, Cause.DRAINING, now)

    def next_deadline(self) -> float | None:
        """When the next clock runs out, None when nobody waits or there is no bound on age."""
        ticket = self._by_age.first()
        if ticket is None:
            return None
        deadline = self._deadline(ticket)
        return None if math.isinf(deadline) else deadline

    def _deadline(self, ticket: Ticket[Waiter]) -> float:
        first, second = self._bounds.no_endpoint_seconds, self._bounds.full_seconds
        budget = first if self._regime is Regime.NO_ENDPOINT else second
        by_regime = max(ticket.arrived_at, self._regime_since) + (budget or math.inf)
        by_age = ticket.arrived_at + (first or math.inf) + (second or math.inf)
        return min(by_regime, by_age)

    def _too_much(self, size: int, instead_of: Ticket[Waiter] | None = None) -> Cause | None:
        """Which bound one more of `size` would break, None when it fits; `instead_of` somebody who goes for it."""
        fewer, less = (0, 0) if instead_of is None else (1, instead_of.size)
        bounds, budget = self._bounds, self._budget
        if len(self) - fewer >= bounds.requests:
            return Cause.TOO_MANY_WAITING
        if self._bytes - less + size > bounds.bytes:
            return Cause.TOO_MANY_BYTES_WAITING
        if budget.requests - fewer >= budget.most_requests:
            return Cause.TOO_MANY_WAITING_OVER_ALL
        if budget.size - less + size > budget.most_bytes:
            return Cause.TOO_MANY_BYTES_WAITING_OVER_ALL
        return None

    def _refuse(self, ticket: Ticket[Waiter], cause: Cause, now: float) -> Refused[Waiter]:
        retry_after = self._retry_after(now)
        self._lines.remove(ticket)
        self._take_out(ticket, TicketState.REFUSED)
        return Refused(ticket, cause, self._regime, retry_after)

    def _count(self, ticket: Ticket[Waiter]) -> None:
        self._bytes += ticket.size
        self._budget.take(ticket.size)

    def _take_out(self, ticket: Ticket[Waiter], state: TicketState) -> None:
        self._by_age.remove(ticket)
        ticket.state = state
        self._bytes -= ticket.size
        self._budget.give_back(ticket.size)

    def _retry_after(self, now: float) -> int:
        """Whole seconds after which it is worth coming back.

        While nothing is ready: what is left of the expected wake, or a whole one when it is overdue; a wake begins with
        the first request that waits for it. While endpoints are full: what it takes to move everybody who waits now
        through, at the rate at which they have been leaving; at least 1 and at most 60, since by then all is different.
        """
        oldest = self._by_age.first()
        waited = 0.0 if oldest is None else now - max(oldest.arrived_at, self._regime_since)
        if self._regime is Regime.FULL:
            return min(LONGEST_QUEUE_RETRY_AFTER_SECONDS, max(1, math.ceil(self._seconds_to_drain(now, waited))))
        if self._expected_wake is None:
            return DEFAULT_RETRY_AFTER_SECONDS
        left = self._expected_wake - waited
        return max(1, math.ceil(left if left > 0 else self._expected_wake))

    def _seconds_to_drain(self, now: float, waited: float) -> float:
        """How long those who wait now will take to leave: their number times the mean gap between releases. A gap that
        is still open counts once it is longer than that; before the first release it is all that is known."""
        if self._mean_gap is None:
            return waited
        return len(self) * max(self._mean_gap, now - self._gap_since if len(self) else 0.0)
