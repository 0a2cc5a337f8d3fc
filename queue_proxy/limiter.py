"""Limiter: how many may run at once, and who is next.

A GPU model takes a few requests at a time; sent more, it gets slower or runs out of memory. The limiter lets at
most `limit` run, keeps the others in one line and refuses those for whom the line is too long.

Knative's breaker hands a freed slot to whoever asks first, so a newcomer may overtake a request that has waited
for half a second. Here the line is strict: whoever came first goes first, and a newcomer never takes a slot while
somebody waits. That turns a 99th percentile of twice the median into one a few milliseconds above it.

It is pure: it does no I/O, reads no clock and starts no timer. Each call returns the tickets whose fate it
decided, and the caller carries that out. One thread owns it. A slot that is given back twice, or by somebody who
does not hold it, would let one request too many run for ever after, so that is an error and not a no-op.

A slot can also be reserved for somebody who is not here yet; it counts as running (`queue_proxy.sharing`).

The same object serves as a hold: with the limit at 0 nobody runs and everybody waits, and `resize` lets in as
many as have room once there is some.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from queue_proxy.tickets import Ticket, TicketState

Arrival = TypeVar("Arrival", bound=Ticket)


class LimiterError(RuntimeError):
    """A ticket was used in a state that does not allow it, such as a slot released twice: a bug in the caller."""


# Every request passes these; a name of the module costs less than an attribute of the enum.
_RUNNING = TicketState.RUNNING
_DONE = TicketState.DONE


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """How many may wait and how long: `requests` in line, `seconds` of age, `bytes` of memory; None: no bound."""

    requests: int | None = None
    seconds: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a negative number of requests or bytes, or an age that is not positive."""
        if self.requests is not None and self.requests < 0:
            raise ValueError(f"a queue cannot hold {self.requests} requests")
        if self.bytes is not None and self.bytes < 0:
            raise ValueError(f"a queue cannot hold {self.bytes} bytes")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"an age bound must be positive, not {self.seconds}")


class Limiter(Generic[Arrival]):
    """At most `limit` run, the rest wait in line within `bounds`. `limit` None: no limit; 0: nobody runs.

    Every call is O(1), apart from what is proportional to the tickets that it returns.

    Laws, at all times: `running` grows only while it is below `limit`; somebody waits only while no slot is
    free; tickets become RUNNING in the order in which they came; each leaves RUNNING exactly once.
    """

    __slots__ = ("_bounds", "_bytes", "_limit", "_line", "_reserved", "_running")

    def __init__(self, limit: int | None, bounds: QueueBounds) -> None:
        """Raises ValueError for a negative limit."""
        self._limit = _checked(limit)
        self._bounds = bounds
        self._running = 0
        self._reserved = 0
        self._bytes = 0
        # A linked list with an index: leaving from the middle is O(1), and so is looking at the head after many
        # have left. (A plain dict walks over the gaps; a deque has to search.)
        self._line: OrderedDict[Arrival, None] = OrderedDict()

    @property
    def limit(self) -> int | None:
        """The limit now; running may be above it for a while after it was lowered."""
        return self._limit

    @property
    def bounds(self) -> QueueBounds:
        """How many may wait, and how long."""
        return self._bounds

    @property
    def running(self) -> int:
        """Slots that are out."""
        return self._running

    @property
    def waiting(self) -> int:
        """Tickets in line."""
        return len(self._line)

    @property
    def bytes(self) -> int:
        """The most memory that those in line can take."""
        return self._bytes

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return self._has_room()

    @property
    def head(self) -> Arrival | None:
        """Who is next in line, None when nobody is."""
        return next(iter(self._line)) if self._line else None

    def line(self) -> tuple[Arrival, ...]:
        """Everybody in line, the next first."""
        return tuple(self._line)

    def arrive(self, ticket: Arrival, now: float) -> TicketState:
        """Somebody comes, with a new ticket. Returns what became of it: RUNNING, WAITING or REFUSED.

        `now` must not be earlier than at the arrival before, so that the line is in order of age.
        """
        ticket.arrived_at = now
        line = self._line
        if not line and (self._limit is None or self._running < self._limit):
            self._running += 1
            state = _RUNNING
        else:
            state = self._join(ticket)
        ticket.state = state
        return state

    def release(self, ticket: Arrival) -> tuple[Arrival, ...]:
        """The holder gives its slot back; returns who is let in by that.

        Raises LimiterError when `ticket` does not hold a slot.
        """
        if ticket.state is not _RUNNING:
            raise LimiterError(f"only a running ticket can be released: {ticket!r}")
        ticket.state = _DONE
        self._running -= 1
        return self._admit() if self._line else ()

    def retire(self, ticket: Arrival) -> None:
        """As `release`, and nobody is let in by it: the caller decides who is.

        Raises LimiterError when `ticket` does not hold a slot.
        """
        if ticket.state is not _RUNNING:
            raise LimiterError(f"only a running ticket can be released: {ticket!r}")
        ticket.state = _DONE
        self._running -= 1

    def admit(self) -> Arrival:
        """Let the next in line in.

        Raises LimiterError when nobody waits or no slot is free.
        """
        if not self._line or not self._has_room():
            raise LimiterError("nobody waits, or no slot is free")
        return self._next_runs()

    def reserve(self) -> None:
        """Keep a free slot for somebody who comes later; it counts as running. Pair it with `redeem` or `unreserve`.

        Raises LimiterError when none is free.
        """
        if not self._has_room():
            raise LimiterError("no slot is free that could be reserved")
        self._running += 1
        self._reserved += 1

    def redeem(self, ticket: Arrival, now: float) -> None:
        """Somebody comes, with a new ticket, for whom a slot was reserved: it runs.

        Raises LimiterError when none is reserved.
        """
        self.unreserve()
        self._running += 1
        ticket.arrived_at = now
        ticket.state = _RUNNING

    def unreserve(self) -> None:
        """A reserved slot is free again; nobody is let in by that.

        Raises LimiterError when none is reserved.
        """
        if self._reserved == 0:
            raise LimiterError("no slot is reserved")
        self._running -= 1
        self._reserved -= 1

    def leave(self, ticket: Arrival) -> None:
        """Somebody in line goes away. It never gets a slot.

        Raises LimiterError when `ticket` is not in line.
        """
        if self._line.pop(ticket, _ABSENT) is _ABSENT:
            raise LimiterError(f"only a waiting ticket can leave: {ticket!r}")
        self._bytes -= ticket.size
        ticket.state = TicketState.LEFT

    def resize(self, limit: int | None) -> tuple[Arrival, ...]:
        """Change the limit; returns who is let in. Nobody who runs is stopped when it shrinks.

        Raises ValueError for a negative limit.
        """
        self._limit = _checked(limit)
        return self._admit()

    def expire(self, now: float) -> tuple[Arrival, ...]:
        """Take those out of line who have waited as long as the bounds allow; returns them."""
        if self._bounds.seconds is None:
            return ()
        expired = []
        while self._line:
            ticket = next(iter(self._line))
            if ticket.arrived_at + self._bounds.seconds > now:
                break
            del self._line[ticket]
            self._bytes -= ticket.size
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

    def _admit(self) -> tuple[Arrival, ...]:
        admitted = []
        while self._line and self._has_room():
            admitted.append(self._next_runs())
        return tuple(admitted)

    def _next_runs(self) -> Arrival:
        ticket, _ = self._line.popitem(last=False)
        self._bytes -= ticket.size
        ticket.state = _RUNNING
        self._running += 1
        return ticket

    def _join(self, ticket: Arrival) -> TicketState:
        bounds = self._bounds
        if bounds.requests is not None and len(self._line) >= bounds.requests:
            return TicketState.REFUSED
        size = ticket.most_bytes()
        if bounds.bytes is not None and self._bytes + size > bounds.bytes:
            return TicketState.REFUSED
        ticket.size = size
        self._bytes += size
        self._line[ticket] = None
        return TicketState.WAITING


_ABSENT = object()


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise ValueError(f"a limit cannot be negative, and this one is {limit}")
    return limit
