"""The upstream side: multiplexed connections to one endpoint, and who waits for one.

A connection is used as long as the endpoint allows more streams on it; another is made when all are full. There is no
ping to see whether an endpoint still lives, since common gRPC servers cut clients that ping; the kernel is told to
give up a connection whose bytes are not acknowledged, which finds the same.
"""

from __future__ import annotations

import asyncio
import select
from typing import Final

from queue_proxy.http.transports import spare_congestion_control
from queue_proxy.http.upstream import CONNECT_SECONDS, Upstream
from queue_proxy.http2.frames import ErrorCode, Http2Error, StreamError
from queue_proxy.http2.heads import Malformed, Response, Trailers, read_response
from queue_proxy.http2.hpack import HeaderList
from queue_proxy.http2.limits import Http2Limits
from queue_proxy.http2.protocol import Http2Protocol
from queue_proxy.http2.sides import UpstreamStreamOwner
from queue_proxy.http2.stream import Stream
from queue_proxy.lost_machine import OF_A_REPLICA, end_when_lost

Head = Response | Trailers | Malformed

_TRUSTED_SECONDS: Final = 0.05
"""A connection idle for longer is asked whether it was closed before it is used again."""
_IDLE_SECONDS: Final = 30.0
_LIMITS: Final = Http2Limits(streams=0)


class UpstreamConnection(Http2Protocol[UpstreamStreamOwner, Head]):
    """One connection to an endpoint. `usable`: new streams may be opened on it."""

    def __init__(self, pool: StreamPool) -> None:
        super().__init__(_LIMITS, pool.upstream.clock, serves=False)
        self.pool = pool
        self.usable = True
        self.idle_since = self.clock()

    @property
    def room(self) -> int:
        """How many more streams the endpoint takes here."""
        return self.peer_streams - len(self.streams) if self.usable else 0

    def is_alive(self) -> bool:
        """Whether it can be used; one that was idle is asked whether the endpoint has closed it unnoticed."""
        if self.transport.is_closing():
            return False
        if self.streams or self.clock() - self.idle_since < _TRUSTED_SECONDS:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return not poll.poll(0)

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        end_when_lost(transport.get_extra_info("socket"), OF_A_REPLICA)
        spare_congestion_control(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._lose_all("the model's server closed the connection before its answer was whole")

    # Hooks of the core

    def read_block(self, read: HeaderList) -> Head:
        """See Connection."""
        return read_response(read)

    def headers_received_on(self, stream: Stream[UpstreamStreamOwner], head: Head, ended: bool) -> None:
        """See Connection."""
        if isinstance(head, Malformed):
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, head.why)
        exchange = stream.owner
        if exchange is not None:
            exchange.receive_head(head, ended)

    def data_received_on(self, stream: Stream[UpstreamStreamOwner], data: bytes, ended: bool) -> None:
        """See Connection."""
        exchange = stream.owner
        if exchange is not None:
            exchange.receive_data(data, ended)

    def sent(self, stream: Stream[UpstreamStreamOwner], size: int) -> None:
        """See Sending."""
        if stream.owner is not None:
            stream.owner.upstream_took(size)

    def stream_was_reset(self, stream: Stream[UpstreamStreamOwner], code: int) -> None:
        """See Connection."""
        if stream.owner is not None:
            stream.owner.upstream_reset(code)

    def stream_failed(self, stream: Stream[UpstreamStreamOwner], fault: StreamError) -> None:
        """See Connection."""
        if stream.owner is not None:
            stream.owner.upstream_broke(f"the model's answer: {fault.why}")

    def stream_closed(self, stream: Stream[UpstreamStreamOwner]) -> None:
        """See Sending."""
        if not self.streams:
            self.idle_since = self.clock()
            if not self.usable:
                self.close_soon()
                return
        self.pool.room_is_made(self)

    def connection_failed(self, fault: Http2Error) -> None:
        """See Connection."""
        self.close_soon()
        why = fault.why if self._settled else f"the model's server does not speak HTTP/2 ({fault.why})"
        self._lose_all(why)

    def peer_settled(self) -> None:
        """See Connection."""
        self.pool.room_is_made(self)

    def peer_goes_away(self, last_stream: int, code: int, why: str) -> None:
        """Streams above the last are as if they had never been sent."""
        self._leave_pool()
        for stream in [stream for number, stream in self.streams.items() if number > last_stream]:
            exchange = stream.owner
            stream.owner = None
            self._close(stream)
            if exchange is not None:
                exchange.upstream_declined(
                    f"the model's server goes away ({ErrorCode(code).name})" if code < 14 else why
                )
        if not self.streams:
            self.close_soon()

    def retire(self) -> None:
        """Open nothing more on it; close it once it is idle."""
        self._leave_pool()
        if not self.streams:
            self.close_soon()

    def _leave_pool(self) -> None:
        if self.usable:
            self.usable = False
            self.pool.forget(self)

    def _lose_all(self, why: str) -> None:
        self._leave_pool()
        for stream in list(self.streams.values()):
            exchange = stream.owner
            stream.owner = None
            self._close(stream)
            if exchange is not None:
                exchange.upstream_broke(why)


class StreamPool:
    """The connections to one endpoint for streams."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.connections: dict[UpstreamConnection, None] = {}
        self._waiting: dict[UpstreamStreamOwner, None] = {}
        self._dialling: set[asyncio.Task[None]] = set()
        self._retirement: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, exchange: UpstreamStreamOwner) -> UpstreamConnection | None:
        """A connection with room for a stream, None when a new one is needed."""
        if self._waiting:
            return None
        for connection in self.connections:
            if connection.room > 0:
                if connection.is_alive():
                    return connection
                connection.retire()
                return self.take(exchange)
        return None

    def wait(self, exchange: UpstreamStreamOwner) -> None:
        """Have `exchange.connected` or `exchange.unreachable` called, never at once."""
        self._waiting[exchange] = None
        self._dial_if_needed()

    def leave(self, exchange: UpstreamStreamOwner) -> None:
        """It waits no longer."""
        self._waiting.pop(exchange, None)

    def room_is_made(self, connection: UpstreamConnection) -> None:
        """A stream has ended, or the endpoint allows more."""
        while self._waiting and connection.room > 0:
            exchange = next(iter(self._waiting))
            del self._waiting[exchange]
            exchange.connected(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """No new streams there."""
        self.connections.pop(connection, None)

    def close(self) -> None:
        """Close idle connections now, and the others with their last stream."""
        self._closed = True
        for connection in list(self.connections):
            connection.retire()
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None

    def _dial_if_needed(self) -> None:
        # What a connection will allow is not known before it is there: a hundred, as RFC 9113 recommends.
        if len(self._waiting) > 100 * len(self._dialling):
            self.upstream.connects_total += 1
            task = asyncio.get_running_loop().create_task(self._dial())
            self._dialling.add(task)
            task.add_done_callback(self._dialled)

    async def _dial(self) -> None:
        upstream = self.upstream
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self), upstream.host, upstream.port
                )
        except TimeoutError:
            self._fail(f"no connection within {CONNECT_SECONDS:g} s")
        except OSError as error:
            self._fail(error.strerror or str(error))
        else:
            self._welcome(connection)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dialling.discard(task)
        if self._waiting:
            self._dial_if_needed()

    def _welcome(self, connection: UpstreamConnection) -> None:
        if self._closed and not self._waiting:
            connection.retire()
            return
        self.connections[connection] = None
        self.room_is_made(connection)
        if self._closed:
            connection.retire()
        elif self._retirement is None:
            self._retirement = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._retire)

    def _fail(self, why: str) -> None:
        """This attempt has failed, and so would others now: everybody who waits is told."""
        waiting, self._waiting = self._waiting, {}
        for exchange in waiting:
            exchange.unreachable(f"{self.upstream.host}:{self.upstream.port}: {why}")

    def _retire(self) -> None:
        """Close what has been idle for too long; comes again as long as there are connections."""
        oldest = self.upstream.clock() - _IDLE_SECONDS
        for connection in [c for c in self.connections if not c.streams and c.idle_since <= oldest]:
            connection.retire()
        self._retirement = None
        if self.connections:
            self._retirement = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 4, self._retire)
