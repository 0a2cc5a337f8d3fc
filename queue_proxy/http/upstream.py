"""The upstream side: connections to one endpoint, and a pool of those that are idle.

The pool is last in, first out, so that the connections that are not needed grow old and are retired. They are
retired well before the five seconds after which common servers close an idle connection: a request written to a
connection that closes at that moment cannot be sent again and is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from queue_proxy.http.upstream_connection import Sender, UpstreamConnection

CONNECT_SECONDS = 5.0
"""How long a connection attempt may take."""

_TRUSTED_SECONDS = 0.05
"""A connection idle for longer is asked whether it was closed before it is used again."""


class Attempt:
    """A connection on its way; `exchange` is None once that no longer waits for it."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: Sender) -> None:
        self.exchange: Sender | None = exchange


class Closing(Protocol):
    """Something that ends with its upstream."""

    def close(self) -> None:
        """Close what is idle now, and what is busy when it is done."""
        ...


class UpstreamProtocol(Enum):
    """What an endpoint speaks.

    HTTP1  HTTP/1.1 only
    H2C    HTTP/2 with prior knowledge; what comes as HTTP/1 is still sent as HTTP/1, since many servers speak both
    """

    HTTP1 = "http1"
    H2C = "h2c"


class Upstream:
    """One endpoint with its pool of connections.

    idle_seconds  after how long an idle connection is retired
    protocol      what it speaks
    name          as it appears in logs; its address unless somebody knows better
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        protocol: UpstreamProtocol = UpstreamProtocol.H2C,
    ) -> None:
        self.protocol = protocol
        self.host = host
        self.port = port
        self.name = f"{host}:{port}"
        self.idle_seconds = 3.0
        self.clock = clock
        self.connects_total = 0
        self._idle: deque[UpstreamConnection] = deque()
        self._attempts: set[asyncio.Task[None]] = set()
        self._retirement: asyncio.TimerHandle | None = None
        self._closed = False
        self.streams: Closing | None = None
        """The pool of connections for streams, kept here by the HTTP/2 engine."""

    def __repr__(self) -> str:
        return f"Upstream({self.host}:{self.port})"

    @property
    def idle(self) -> int:
        """How many connections stand in the pool."""
        return sum(connection.alive for connection in self._idle)

    def take(self, now: float) -> UpstreamConnection | None:
        """The connection that was used last, or None when a new one is needed."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.alive or connection.transport.is_closing():
                # Closing, and not told of it yet: what is written now would be thrown away.
                continue
            age = now - connection.idle_since
            if age < _TRUSTED_SECONDS or (age < self.idle_seconds and connection.is_quiet()):
                return connection
            connection.abort()
        return None

    def put(self, connection: UpstreamConnection, now: float) -> None:
        """Back into the pool."""
        if self._closed or not connection.alive:
            connection.abort()
            return
        if connection.paused:
            connection.resume_reading()
        connection.idle_since = now
        self._idle.append(connection)
        if self._retirement is None:
            self._retirement = asyncio.get_running_loop().call_later(self.idle_seconds / 2, self._retire)

    def connect(self, exchange: Sender) -> Attempt:
        """Make a new connection; `exchange.connected` or `exchange.unreachable` follows, never at once."""
        attempt = Attempt(exchange)
        self.connects_total += 1
        self.dial(attempt)
        return attempt

    def dial(self, attempt: Attempt) -> None:
        """Start connecting for `attempt`; ends in `settle`."""
        task = asyncio.get_running_loop().create_task(self._dial(attempt))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _dial(self, attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(UpstreamConnection, self.host, self.port)
        except TimeoutError:
            self.settle(attempt, f"no connection within {CONNECT_SECONDS:g} s")
        except OSError as error:
            self.settle(attempt, error.strerror or str(error))
        except (ValueError, OverflowError) as error:
            # An address that cannot be one; the exchange must hear of it like of any other failure.
            self.settle(attempt, str(error))
        else:
            self.settle(attempt, connection)

    def settle(self, attempt: Attempt, result: UpstreamConnection | str) -> None:
        """An attempt has ended, with a connection or with the reason why there is none."""
        exchange = attempt.exchange
        attempt.exchange = None
        if isinstance(result, str):
            if exchange is not None:
                exchange.unreachable(f"{self.host}:{self.port}: {result}")
        elif exchange is None:
            self.put(result, self.clock())
        else:
            exchange.connected(result)

    def close(self) -> None:
        """Close idle connections now, and busy ones when their exchange ends."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        if self.streams is not None:
            self.streams.close()

    def _retire(self) -> None:
        """Close what has been idle for too long; comes again as long as anything is idle."""
        oldest = self.clock() - self.idle_seconds
        idle = self._idle
        while idle and (idle[0].idle_since <= oldest or not idle[0].alive):
            idle.popleft().abort()
        self._retirement = None
        if idle:
            self._retirement = asyncio.get_running_loop().call_later(self.idle_seconds / 4, self._retire)
