"""Limiter: how many may run at once, and who is next.

A GPU model takes a few requests at a time; sent more, it gets slower or runs out of memory. The limiter lets at
most `limit` run, keeps the others in one line and refuses those for whom the line is too long.

Knative's breaker hands a freed slot to whoever asks first, so a newcomer may overtake a request that has waited
for half a second. Here the line is strict: whoever came first goes first, and a newcomer never takes a slot while
somebody waits. That turns a 99th percentile of twice the median into one a few milliseconds above it.

It is pure: it does no I/O, reads no clock and starts no timer. Each call returns the tickets whose fate it
decided, and the caller carries that out. One thread owns it. A slot that is given back twice, or by somebody who
does not hold it, would let one request too many run for ever after, so that is an error and not a no-op.

The same object serves as a hold: with the limit at 0 nobody runs and everybody waits, and `resize` lets in as
many as have room once there is some.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LimiterError(RuntimeError):
    """A ticket was used in a state that does not allow it, such as a slot released twice: a bug in the caller."""


class TicketState(Enum):
    """Where a ticket is. WAITING and RUNNING are followed by one of the others; those are final.

    WAITING   in line
    RUNNING   holds a slot
    DONE      gave its slot back
    REFUSED   the line was full when it came
    EXPIRED   waited as long as the bounds allow
    LEFT      went away while it waited
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """How many may wait and how long: `requests` in line, `seconds` of age; None: no bound."""

    requests: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a negative number of requests, or an age that is not positive."""
        if self.requests is not None and self.requests < 0:
            raise ValueError(f"a queue cannot hold {self.requests} requests")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"an age bound must be positive, not {self.seconds}")


class Ticket(Generic[Item]):
    """One arrival. Made by `Limiter.arrive`, which also keeps its state; compare `state`, never change it.

    `arrived_at` is the time from which its wait counts, in seconds of the caller's clock.
    """

    __slots__ = ("arrived_at", "item", "state")

    def __init__(self, item: Item, arrived_at: float, state: TicketState) -> None:
        """Called by the limiter."""
        self.item = item
        self.arrived_at = arrived_at
        self.state = state

    def __repr__(self) -> str:
        """For assertion messages."""
        return f"<Ticket {self.item!r} {self.state.value}>"


class Limiter(Generic[Item]):
    """At most `limit` run, the rest wait in line within `bounds`. `limit` None: no limit; 0: nobody runs.

    Every call is O(1), apart from what is proportional to the tickets that it returns.

    Laws, at all times: `running` grows only while it is below `limit`; somebody waits only while no slot is
    free; tickets become RUNNING in the order in which they came; each leaves RUNNING exactly once.
    """

    __slots__ = ("_bounds", "_limit", "_line", "_running")

    def __init__(self, limit: int | None, bounds: QueueBounds) -> None:
        """Raises ValueError for a negative limit."""
        self._limit = _checked(limit)
        self._bounds = bounds
        self._running = 0
        # A linked list with an index: leaving from the middle is O(1), and so is looking at the head after many
        # have left. (A plain dict walks over the gaps; a deque has to search.)
        self._line: OrderedDict[Ticket[Item], None] = OrderedDict()

    @property
    def limit(self) -> int | None:
        """The limit now; running may be above it for a while after it was lowered."""
        return self._limit

    @property
    def bounds(self) -> QueueBounds:
        """The bounds now."""
        return self._bounds

    @property
    def running(self) -> int:
        """Slots that are out."""
        return self._running

    @property
    def waiting(self) -> int:
        """Tickets in line."""
        return len(self._line)

    def line(self) -> tuple[Ticket[Item], ...]:
        """Everybody in line, the next first."""
        return tuple(self._line)

    def arrive(self, item: Item, now: float) -> Ticket[Item]:
        """Somebody comes. The ticket's state says what became of it: RUNNING, WAITING or REFUSED.

        `now` must not be earlier than at the arrival before, so that the line is in order of age.
        """
        if self._has_room() and not self._line:
            self._running += 1
            return Ticket(item, now, TicketState.RUNNING)
        if self._bounds.requests is not None and len(self._line) >= self._bounds.requests:
            return Ticket(item, now, TicketState.REFUSED)
        ticket = Ticket(item, now, TicketState.WAITING)
        self._line[ticket] = None
        return ticket

    def release(self, ticket: Ticket[Item]) -> tuple[Ticket[Item], ...]:
        """The holder gives its slot back; returns who is let in by that.

        Raises LimiterError when `ticket` does not hold a slot.
        """
        if ticket.state is not TicketState.RUNNING:
            raise LimiterError(f"only a running ticket can be released: {ticket!r}")
        ticket.state = TicketState.DONE
        self._running -= 1
        return self._admit() if self._line else ()

    def leave(self, ticket: Ticket[Item]) -> None:
        """Somebody in line goes away. It never gets a slot.

        Raises LimiterError when `ticket` is not in line.
        """
        if self._line.pop(ticket, _ABSENT) is _ABSENT:
            raise LimiterError(f"only a waiting ticket can leave: {ticket!r}")
        ticket.state = TicketState.LEFT

    def resize(self, limit: int | None) -> tuple[Ticket[Item], ...]:
        """Change the limit; returns who is let in. Nobody who runs is stopped when it shrinks.

        Raises ValueError for a negative limit.
        """
        self._limit = _checked(limit)
        return self._admit()

    def rebound(self, bounds: QueueBounds) -> None:
        """Change the bounds. Those who are in line stay there; ages are judged by the new bound."""
        self._bounds = bounds

    def expire(self, now: float) -> tuple[Ticket[Item], ...]:
        """Take those out of line who have waited as long as the bounds allow; returns them."""
        if self._bounds.seconds is None:
            return ()
        expired = []
        while self._line:
            ticket = next(iter(self._line))
            if ticket.arrived_at + self._bounds.seconds > now:
                break
            del self._line[ticket]
            ticket.state = TicketState.EXPIRED
            expired.append(ticket)
        return tuple(expired)

    def next_expiry(self) -> float | None:
        """When `expire` will next have something to do, None while nobody waits or age has no bound."""
        if self._bounds.seconds is None or not self._line:
            return None
        return next(iter(self._line)).arrived_at + self._bounds.seconds

    def _has_room(self) -> bool:
        return self._limit is None or self._running < self._limit

    def _admit(self) -> tuple[Ticket[Item], ...]:
        admitted = []
        while self._line and self._has_room():
            ticket, _ = self._line.popitem(last=False)
            ticket.state = TicketState.RUNNING
            self._running += 1
            admitted.append(ticket)
        return tuple(admitted)


_ABSENT = object()


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise ValueError(f"a limit cannot be negative, and this one is {limit}")
    return limit
