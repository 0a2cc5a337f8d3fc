"""The client connections of one listening socket, and what they share.

They know it, and so it knows only what is common to all of them: which kind is made is the server's to choose.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from queue_proxy.http.contract import Connection, Dispatcher, HttpLimits, Observer, Timeouts
from queue_proxy.http.deadlines import NEVER, TICK, Deadlines
from queue_proxy.http.fields import LONGEST_HEAD_REMEMBERED
from queue_proxy.http.read_ahead import ReadAhead

_DEFAULT_LIMITS = HttpLimits()
_NO_TIMEOUTS = Timeouts()


class Connections:
    """What `HttpServer` is built on, as its connections know it.

    Counters, since the start: connections_total, malformed_total (answered with 400, 405, 417, 501 or 505),
    oversize_total (431), slow_heads_total and slow_bodies_total (408), connections_refused_total (one too many).
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        limits: HttpLimits = _DEFAULT_LIMITS,
        timeouts: Timeouts = _NO_TIMEOUTS,
        clock: Callable[[], float] = time.monotonic,
        http2: Callable[[Connections], asyncio.Protocol] | None = None,
        observer: Observer | None = None,
        takes_back: bool = False,
        read_ahead: ReadAhead | None = None,
    ) -> None:
        """`http2` makes the protocol of a connection that begins with HTTP/2's preface; None: those are refused.
        `observer` is told of every exchange; None: nobody is, and nothing on the path asks.
        `takes_back`: a request that a queue proxy answers as not delivered goes back to the dispatcher.
        `read_ahead`: shared with other servers of this process; None: this one has a bound of its own."""
        self.dispatcher = dispatcher
        self.limits = limits
        self.remembered_bytes = min(LONGEST_HEAD_REMEMBERED, limits.head_bytes) + len(b"\r\n\r\n")
        """A longer message is none that could be known as a whole."""
        self.clock = clock
        self.http2 = http2
        self.observer = observer
        self.takes_back = takes_back
        self.read_ahead = ReadAhead() if read_ahead is None else read_ahead
        self.deadlines = Deadlines()
        self.draining = False
        self.drain_patience = 0.0
        self.drain_began = 0.0
        self.connections_total = 0
        self.connections_refused_total = 0
        self.malformed_total = 0
        self.oversize_total = 0
        self.slow_heads_total = 0
        self.slow_bodies_total = 0
        self._connections: dict[Connection, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._all_closed: list[asyncio.Future[None]] = []
        self.timeouts = timeouts

    @property
    def connections(self) -> int:
        """How many client connections are open now."""
        return len(self._connections)

    @property
    def timeouts(self) -> Timeouts:
        """Timeouts of forwarded exchanges; may be replaced at any time and then hold for running ones too."""
        return self._timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        in_use = [seconds for seconds in (timeouts.total, timeouts.response_start, timeouts.idle) if seconds]
        self.timed = bool(in_use)
        self.shortest_timeout = min(in_use, default=0.0)
        self.timed_idle = bool(timeouts.idle)
        now = self.clock()
        for connection in self._connections:
            connection.look_at(now)

    def begin_drain(self, patience: float = 0.0) -> None:
        """Close each connection after its next answer, which says so, and those without one when they have been idle
        for `patience` seconds. Upgraded connections stay until they end by themselves or `wait_closed` loses its own.

        A connection that looks idle from here may have its next request on the way: closed now, that is lost. So
        `patience` should exceed the time that requests are apart, or at least a round trip.
        """
        self.draining = True
        self.drain_patience = patience
        self.drain_began = self.clock()
        for connection in list(self._connections):
            connection.begin_drain()

    def end_drain(self) -> None:
        """Keep connections again. Who has been told already to go elsewhere goes."""
        self.draining = False

    async def wait_closed(self, grace: float) -> None:
        """Until no connection is left; after `grace` seconds the rest is aborted. May be called again with less."""
        if self._connections and grace > 0:
            done = asyncio.get_running_loop().create_future()
            self._all_closed.append(done)
            await asyncio.wait([done], timeout=grace)
        for connection in list(self._connections):
            connection.abandon()
        self._wake_waiters()

    # For its connections

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self._connections[connection] = None
        self.connections_total += 1
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(TICK, self._sweep)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)
        self.deadlines.forget(connection)
        if not self._connections:
            self._wake_waiters()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None

    def _wake_waiters(self) -> None:
        waiters, self._all_closed = self._all_closed, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(TICK, self._sweep)
        self.deadlines.sweep(self.clock())


class Watched:
    """A connection with deadlines, by its server's. It spares the buckets what is later than what stands there."""

    __slots__ = ("bucket", "looked_at_by", "server")

    def __init__(self, server: Connections) -> None:
        self.server = server
        self.bucket = 0
        self.looked_at_by = NEVER

    def look_at(self, at: float) -> None:
        """Have `expire` called not later than `at`."""
        if at < self.looked_at_by:
            self.looked_at_by = at
            self.server.deadlines.schedule(self, at)

    def expire(self, now: float) -> float:
        """Act on what is overdue; returns when to look again. See Deadlines."""
        self.looked_at_by = NEVER
        self.looked_at_by = min(self._expire(now), self.looked_at_by)
        return self.looked_at_by

    def _expire(self, now: float) -> float:
        raise NotImplementedError
