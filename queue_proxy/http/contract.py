"""The words that the engine and its users share: who decides, who owns a slot, how an exchange ended.

The engine moves bytes and knows no policy. A `Dispatcher` (the queue proxy's limiter, the activator's hold)
knows policy and moves no bytes. Between them stand the few types of this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from queue_proxy.http.head import RequestHead
    from queue_proxy.http.upstream import Upstream


class Outcome(Enum):
    """How a forwarded exchange ended.

    COMPLETED  the upstream's answer is whole (whatever its status)
    FAILED     the upstream died or was too slow, or the request itself broke off malformed
    ABANDONED  the client left first
    UNSENT     no connection could be made, so not one byte was sent; `Dispatcher.unreachable` follows at once
    """

    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"
    UNSENT = "unsent"


class Lease(Protocol):
    """One slot at an upstream. It has one owner, the exchange it was given to."""

    def release(self, outcome: Outcome) -> None:
        """Give the slot back. The exchange calls this exactly once, on every path; it must not raise."""
        ...


class Exchange(Protocol):
    """One request and its answer, whichever protocol carries it: a request of a connection, or a stream of one.

    arrived_at  when the head was whole, by the server's clock
    clock_from  from when timeouts count; set to `arrived_at`, a dispatcher may move it before it forwards
    context     free for the dispatcher
    """

    arrived_at: float
    clock_from: float
    context: object | None

    @property
    def head(self) -> RequestHead:
        """The request's head."""
        ...

    @property
    def answered_at(self) -> float | None:
        """When the head of the upstream's answer was passed on; None before."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes of the request's body that are held in memory now."""
        ...

    def add_line(self, name: bytes, value: bytes) -> None:
        """Forward one header line more; `name` in lower case, and both known to be valid."""
        ...

    def drop_lines(self, *names: bytes) -> None:
        """Do not forward headers of these names (in lower case)."""
        ...

    def forward(self, upstream: Upstream, lease: Lease) -> None:
        """Send it to `upstream`; from here the exchange owns `lease` and releases it exactly once."""
        ...

    def answer(self, answer: Answer) -> None:
        """Finish it with an answer of our own. Nothing happens if its client has left."""
        ...

    def begin_events(self) -> None:
        """Start an event stream while it waits, where that is possible, so that `comment` keeps the client patient."""
        ...

    def comment(self, text: bytes) -> None:
        """Send one comment line. Does nothing unless `begin_events` has begun and no answer is there."""
        ...


class Dispatcher(Protocol):
    """Decides when and where a request goes. All calls come from the event loop's thread."""

    def arrive(self, exchange: Exchange) -> None:
        """A whole request head is there. Must, now or later, call `forward()` or `answer()` on it."""
        ...

    def abandoned(self, exchange: Exchange) -> None:
        """The client left while the exchange was waiting, neither forwarded nor answered: forget it."""
        ...

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        """No connection could be made and not one byte was sent. The lease has been released (UNSENT) just
        before; the exchange waits again and may be forwarded elsewhere or answered."""
        ...


class Observed(Exchange, Protocol):
    """What an observer sees of an exchange, whichever protocol carries it.

    trace      free for the observer
    status     of the answer that the client was sent, or its first line; None: none was
    outcome    how the last lease ended; None: it was never forwarded
    upstream   where it was sent to last; None: it was not, or nobody could be reached there
    bytes_in   bytes that its client sent for it, with its head; known when it has ended, as are those that its
               client was sent, bytes_out
    """

    trace: object | None

    @property
    def status(self) -> int | None: ...

    @property
    def outcome(self) -> Outcome | None: ...

    @property
    def upstream(self) -> Upstream | None: ...

    @property
    def bytes_in(self) -> int: ...

    @property
    def bytes_out(self) -> int: ...


class Observer(Protocol):
    """Who watches."""

    def forwarding(self, exchange: Observed) -> None:
        """It is about to be sent to an upstream, and its head may still be changed; comes again with each try."""
        ...

    def ended(self, exchange: Observed) -> None:
        """It has ended; called once for each exchange."""
        ...


class Connection(Protocol):
    """One client's connection as its server knows it, whichever protocol it speaks."""

    bucket: int

    def look_at(self, at: float) -> None:
        """Have `expire` called not later than `at`."""
        ...

    def expire(self, now: float) -> float:
        """Act on what is overdue; returns when to look again. See Deadlines."""
        ...

    def begin_drain(self) -> None:
        """Have the client go elsewhere with its next requests."""
        ...

    def abandon(self) -> None:
        """Cut it and whatever runs on it, as if the client had left."""
        ...


class Answer(NamedTuple):
    """An answer of our own. `content-length` is added; `close` also ends the client's connection."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    close: bool = False


class Timeouts(NamedTuple):
    """Seconds, 0 switches one off. They apply to forwarded exchanges only: who waits is the dispatcher's.

    total           from `Exchange.clock_from` to the end of the answer; not for upgraded connections
    response_start  from `Exchange.clock_from` to the first byte of the answer
    idle            between two bytes in either direction
    """

    total: float = 0.0
    response_start: float = 0.0
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds that keep one client from taking what belongs to all. Bytes, numbers and seconds.

    head_bytes      request line and headers; more is answered with 431
    header_lines    lines of one head; more is answered with 431
    waiting_bytes   body (or pipelined requests) held for one connection before its reading pauses
    trailer_bytes   trailers of a chunked body
    head_seconds    from the first byte of a head to its last; slower is answered with 408
    body_seconds    how long a forwarded request may leave its upstream waiting for more of its body, 0 for ever; each
                    byte buys 2 ms, up to this; slower is answered with 408. Not while we do not read from it
    idle_seconds    a connection without a request is closed after this
    connections     that may be open at once; one too many is answered with 503 and closed, 0: no bound
    linger_seconds  after an answer that ends the connection, how long the rest of a request is thrown away so
                    that the client can still read the answer
    """

    head_bytes: int = 65_536
    header_lines: int = 128
    waiting_bytes: int = 65_536
    trailer_bytes: int = 8_192
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 120.0
    linger_seconds: float = 2.0
    connections: int = 0
