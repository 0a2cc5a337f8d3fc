"""The hold: requests that wait because nothing can serve them, or because everything that can is full.

Pure: no I/O and no clock; `now` comes in, effects come out, and whoever called carries them out. Every request that
comes in gets a ticket, and every ticket ends exactly once: released to an endpoint, refused with a reason, or taken
away because its client left.

Two clocks, because two different things can be wrong and a client should do different things about them:

    no endpoint   nothing is ready. The answer is 503, to be tried again when the wake is expected to be over.
    full          endpoints are ready and busy. The answer is 429, to be tried again when the queue has moved on.

When one turns into the other, everybody's budget starts again: who has waited nine minutes for a model to load must not
be refused in the first second of its readiness because the other clock would already have run out. So that a service
that flaps cannot hold a request for ever, no ticket lives longer than both budgets together.

All tickets have the same budgets, so the first to come is always the first to expire: one queue in order of arrival is
also the queue of deadlines, and no event needs to look at more than its head.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from activator.messages import HoldBounds

Waiter = TypeVar("Waiter")
Place = TypeVar("Place")
PlaceOut = TypeVar("PlaceOut", covariant=True)

DEFAULT_RETRY_AFTER_SECONDS = 10


class Room(Protocol[PlaceOut]):
    """Where released requests go. `take` gives out room for exactly one."""

    @property
    def any_ready(self) -> bool:
        """Whether anybody serves at all, full or not."""
        ...

    def take(self) -> PlaceOut | None:
        """Room for one request, None when there is none."""
        ...


class Regime(Enum):
    """What a waiting request waits for."""

    NO_ENDPOINT = "no_endpoint"
    FULL = "full"


class Cause(Enum):
    """Why a request was refused."""

    TOO_MANY_WAITING = "too_many_waiting"
    TOO_MANY_BYTES_WAITING = "too_many_bytes_waiting"
    WAITED_TOO_LONG = "waited_too_long"
    DRAINING = "draining"


class TicketState(Enum):
    """HELD is the only state in which the hold still owes something."""

    HELD = "held"
    RELEASED = "released"
    REFUSED = "refused"
    LEFT = "left"


class Ticket(Generic[Waiter]):
    """One request. `number` is its place in the order of arrival, `size` the bytes of memory counted for it."""

    __slots__ = ("arrived_at", "number", "size", "state", "waiter")

    def __init__(self, waiter: Waiter, number: int, size: int, arrived_at: float) -> None:
        self.waiter = waiter
        self.number = number
        self.size = size
        self.arrived_at = arrived_at
        self.state = TicketState.HELD

    def __repr__(self) -> str:
        return f"Ticket({self.number}, {self.state.value})"


@dataclass(frozen=True, slots=True)
class Released(Generic[Waiter, Place]):
    """Forward this request to that place: room for it has been taken there."""

    ticket: Ticket[Waiter]
    place: Place


@dataclass(frozen=True, slots=True)
class Refused(Generic[Waiter]):
    """Answer this request: 503 in the NO_ENDPOINT regime and when draining, 429 when endpoints are full."""

    ticket: Ticket[Waiter]
    cause: Cause
    regime: Regime
    retry_after: int


@dataclass(frozen=True, slots=True)
class Held(Generic[Waiter]):
    """Nothing to do now: it waits."""

    ticket: Ticket[Waiter]


class Hold(Generic[Waiter, Place]):
    """Requests of one service, in order of arrival. Every method costs O(1), apart from what it returns."""

    def __init__(self, room: Room[Place], bounds: HoldBounds, now: float) -> None:
        self._room = room
        self._bounds = bounds
        self._expected_wake: float | None = None
        self._regime = Regime.FULL if room.any_ready else Regime.NO_ENDPOINT
        self._regime_since = now
        self._next_number = 0
        self._waiting: OrderedDict[int, Ticket[Waiter]] = OrderedDict()
        # Tickets that were released and came back. Each is older than every one that was never released, so this
        # heap goes ahead of the queue. Those that leave are dropped when they reach its top.
        self._returned: list[tuple[int, Ticket[Waiter]]] = []
        self._returned_held = 0
        self._bytes = 0
        self._last_wait = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + self._returned_held

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
        return True

    def arrive(self, now: float, waiter: Waiter, size: int) -> Released[Waiter, Place] | Held[Waiter] | Refused[Waiter]:
        """A new request: forwarded at once when there is room and nobody waits ahead of it, else held or refused."""
        ticket = Ticket(waiter, self._next_number, size, now)
        self._next_number += 1
        if not len(self):
            place = self._room.take()
            if place is not None:
                ticket.state = TicketState.RELEASED
                return Released(ticket, place)
        if len(self) >= self._bounds.requests:
            return self._refuse(ticket, Cause.TOO_MANY_WAITING, now)
        if self._bytes + size > self._bounds.bytes:
            return self._refuse(ticket, Cause.TOO_MANY_BYTES_WAITING, now)
        self._waiting[ticket.number] = ticket
        self._bytes += size
        return Held(ticket)

    def put_back(self, ticket: Ticket[Waiter]) -> None:
        """A released request reached nobody: it waits again, in its old order. It was accepted once, so bounds do not
        refuse it now; its age still counts from its arrival."""
        if ticket.state is not TicketState.RELEASED:
            raise ValueError(f"only a released ticket can come back, not {ticket}")
        ticket.state = TicketState.HELD
        heapq.heappush(self._returned, (ticket.number, ticket))
        self._returned_held += 1
        self._bytes += ticket.size

    def leave(self, ticket: Ticket[Waiter]) -> None:
        """The client of a held request is gone."""
        if ticket.state is not TicketState.HELD:
            raise ValueError(f"only a held ticket can leave, not {ticket}")
        self._take_out(ticket, TicketState.LEFT)

    def release(self, now: float) -> Released[Waiter, Place] | None:
        """The next request and its place, None when nobody waits or there is no room. Call until None."""
        ticket = self._oldest()
        if ticket is None:
            return None
        place = self._room.take()
        if place is None:
            return None
        self._take_out(ticket, TicketState.RELEASED)
        self._last_wait = now - max(ticket.arrived_at, self._regime_since)
        return Released(ticket, place)

    def expire(self, now: float) -> Refused[Waiter] | None:
        """The next request whose clock has run out, None when there is none. Call until None."""
        ticket = self._oldest()
        if ticket is None or now < self._deadline(ticket):
            return None
        return self._refuse(ticket, Cause.WAITED_TOO_LONG, now)

    def dismiss(self, now: float) -> Refused[Waiter] | None:
        """The next request of all that wait: the activator ends and can hold it no longer. Call until None."""
        ticket = self._oldest()
        return None if ticket is None else self._refuse(ticket, Cause.DRAINING, now)

    def next_deadline(self) -> float | None:
        """When the next clock runs out, None when nobody waits or there is no bound on age."""
        ticket = self._oldest()
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

    def _oldest(self) -> Ticket[Waiter] | None:
        while self._returned:
            ticket = self._returned[0][1]
            if ticket.state is TicketState.HELD:
                return ticket
            heapq.heappop(self._returned)
        for ticket in self._waiting.values():
            return ticket
        return None

    def _refuse(self, ticket: Ticket[Waiter], cause: Cause, now: float) -> Refused[Waiter]:
        retry_after = self._retry_after(now)
        if cause in (Cause.TOO_MANY_WAITING, Cause.TOO_MANY_BYTES_WAITING):
            ticket.state = TicketState.REFUSED
        else:
            self._take_out(ticket, TicketState.REFUSED)
        return Refused(ticket, cause, self._regime, retry_after)

    def _take_out(self, ticket: Ticket[Waiter], state: TicketState) -> None:
        if self._waiting.pop(ticket.number, None) is None:
            self._returned_held -= 1
            if self._returned[0][1] is ticket:
                heapq.heappop(self._returned)
        ticket.state = state
        self._bytes -= ticket.size

    def _retry_after(self, now: float) -> int:
        """Whole seconds after which it is worth coming back.

        While nothing is ready: what is left of the expected wake, or a whole one when it is overdue; a wake begins with
        the first request that waits for it. While endpoints are full: what the queue takes to move through, which is
        how long its head has waited, or had when it was last released.
        """
        oldest = self._oldest()
        waited = 0.0 if oldest is None else now - max(oldest.arrived_at, self._regime_since)
        if self._regime is Regime.FULL:
            return max(1, math.ceil(max(waited, self._last_wait)))
        if self._expected_wake is None:
            return DEFAULT_RETRY_AFTER_SECONDS
        left = self._expected_wake - waited
        return max(1, math.ceil(left if left > 0 else self._expected_wake))
