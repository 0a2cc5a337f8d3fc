"""The client's side: one connection, its streams, and the exchanges that run on them.

Requests are handed to the dispatcher when everything that came in one read has been looked at. A small call then
arrives with its whole body, whose size the dispatcher may want to know, and a stream that is reset in the read that
opened it never arrives at all.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from queue_proxy.http.answers import error_answer
from queue_proxy.http.connections import Connections, Watched
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.read_ahead import USUAL_HEAD_BYTES
from queue_proxy.http2.answers import stream_answer
from queue_proxy.http2.exchange import StreamExchange
from queue_proxy.http2.frames import MOST_STREAM, ErrorCode, Http2Error, StreamError
from queue_proxy.http2.heads import Malformed, Request, StreamHead, Trailers, Unacceptable, read_request
from queue_proxy.http2.hpack import HeaderList
from queue_proxy.http2.limits import Http2Limits
from queue_proxy.http2.observed import ObservedStreamExchange
from queue_proxy.http2.protocol import Http2Protocol
from queue_proxy.http2.sides import ClientStreamOwner
from queue_proxy.http2.stream import Stream

log = logging.getLogger(__name__)

Head = Request | Trailers | Unacceptable | Malformed

_LAST_CALL: Final = b"lastcall"
_LAST_CALL_SECONDS: Final = 1.0


class ServerConnection(Watched, Http2Protocol[ClientStreamOwner, Head]):
    """One client's connection. `server` is what it belongs to."""

    def __init__(self, server: Connections) -> None:
        own = server.limits
        limits = Http2Limits(
            waiting_bytes=own.waiting_bytes,
            header_block_bytes=own.head_bytes,
            header_list_bytes=own.head_bytes,
            header_fields=own.header_lines,
        )
        Watched.__init__(self, server)
        Http2Protocol.__init__(self, limits, server.clock, serves=True)
        self._exchange_class = StreamExchange if server.observer is None else ObservedStreamExchange
        self._arrived: list[StreamExchange] = []
        self._idle_since = self.clock()
        self._head_since: float | None = self._idle_since
        self._last_call_since: float | None = None
        # How much of a header block that is not whole is counted with what all clients have sent ahead.
        self._counted = 0
        self._closes_at = NEVER

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: accepted (or taken over from the HTTP/1 engine, which has seen the preface)."""
        super().connection_made(transport)
        self.server.opened(self)
        self.look_at(self._idle_since + min(self.server.limits.head_seconds, self.server.limits.idle_seconds))
        if self.server.draining:
            # Told at once, it would come again and be told again, for as long as new connections are still led here:
            # its first requests are served. If there are none, it has the patience that the drain has.
            self.look_at(self._idle_until())

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the client."""
        super().data_received(data)
        if self._arrived:
            self._dispatch()
        if self._block_stream or self._counted:
            self._count_block()
        if not self.head_waits:
            self._head_since = None
        elif self._head_since is None:
            self._head_since = self.clock()
            self.look_at(self._head_since + self.server.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._closes_at = NEVER
        self.server.read_ahead.exchanges(self._counted, 0)
        self.server.closed(self)
        self._leave_all()

    # What the server does

    def begin_drain(self) -> None:
        """Have the client open its next streams elsewhere: a warning first, and once it must have seen it (it answers
        a ping behind it) the number of the last stream that is served. So no request falls between the two."""
        if self._last_call_since is None and self.failed is None:
            self._last_call_since = self.clock()
            self.go_away(MOST_STREAM)
            self.ping(_LAST_CALL)
            self.look_at(self._last_call_since + _LAST_CALL_SECONDS)

    def abandon(self) -> None:
        """Cut the connection and whatever runs on it, as if the client had left."""
        self._leave_all()
        self.transport.abort()

    def _expire(self, now: float) -> float:
        limits = self.server.limits
        if self._closes_at != NEVER:
            if now < self._closes_at:
                return self._closes_at
            self.transport.abort()
            return NEVER
        if self._head_since is not None and now >= self._head_since + limits.head_seconds:
            self.server.slow_heads_total += 1
            self.fail(Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "a header block did not arrive in time"))
            return self._closes_at
        if self._last_call_since is not None and self.going_away_at == MOST_STREAM:
            if now >= self._last_call_since + _LAST_CALL_SECONDS:
                self._last_stream_is_known()
                return now
            return self._last_call_since + _LAST_CALL_SECONDS
        due = NEVER if self._head_since is None else self._head_since + limits.head_seconds
        for stream in list(self.streams.values()):
            if stream.owner is not None:
                due = min(due, stream.owner.expire(now))
        if not self.streams:
            idle_until = self._idle_until()
            if now >= idle_until:
                self.begin_drain()
                return now + _LAST_CALL_SECONDS
            due = min(due, idle_until)
        return due

    # Hooks of the core

    def read_block(self, read: HeaderList) -> Head:
        """See Connection."""
        return read_request(read)

    def may_come_again(self, head: Head) -> bool:
        """See Connection. A request with an id of its own, or with a secret, does not."""
        return not isinstance(head, Request) or head.recurs

    def headers_received_on(self, stream: Stream[ClientStreamOwner], head: Head, ended: bool) -> None:
        """See Connection."""
        if isinstance(head, Request) and stream.owner is None:
            self._begin(stream, head, ended)
        elif isinstance(head, Trailers) and stream.owner is not None:
            if stream.remaining:
                raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "the body is shorter than content-length says")
            stream.owner.receive_request_trailers(head)
        elif isinstance(head, Unacceptable) and stream.owner is None:
            self._refuse(stream, head, ended)
        else:
            self.server.malformed_total += 1
            why = head.why if isinstance(head, Malformed) else "a header block in the wrong place"
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, why)

    def data_received_on(self, stream: Stream[ClientStreamOwner], data: bytes, ended: bool) -> None:
        """See Connection."""
        exchange = stream.owner
        if exchange is not None:
            exchange.receive_body(data, ended)

    def sent(self, stream: Stream[ClientStreamOwner], size: int) -> None:
        """See Sending."""
        if stream.owner is not None:
            stream.owner.client_took(size)

    def stream_was_reset(self, stream: Stream[ClientStreamOwner], code: int) -> None:
        """See Connection."""
        if stream.owner is not None:
            stream.owner.client_left()

    def stream_failed(self, stream: Stream[ClientStreamOwner], fault: StreamError) -> None:
        """See Connection."""
        if stream.owner is not None:
            self.server.malformed_total += 1
            stream.owner.client_left()

    def stream_closed(self, stream: Stream[ClientStreamOwner]) -> None:
        """See Sending."""
        if not self.streams:
            self._idle_since = self.clock()
            if self._last_call_since is None:
                self.look_at(self._idle_since + self.server.limits.idle_seconds)
            elif self.going_away_at != MOST_STREAM:
                self._hang_up()

    def _idle_until(self) -> float:
        server = self.server
        patience = server.limits.idle_seconds
        return self._idle_since + (min(patience, server.drain_patience) if server.draining else patience)

    def connection_failed(self, fault: Http2Error) -> None:
        """See Connection."""
        self.server.malformed_total += 1
        log.debug("a client's connection failed: %s", fault.why)
        self._leave_all()
        self._hang_up(linger=True)

    def ponged(self, payload: bytes) -> None:
        """See Connection."""
        if payload == _LAST_CALL and self.going_away_at == MOST_STREAM:
            self._last_stream_is_known()

    # How

    def _count_block(self) -> None:
        """A header block that is not whole is held: of all connections together, only so much."""
        size = self._block_bytes if self._block_stream and self._block_bytes > USUAL_HEAD_BYTES else 0
        if self.failed is not None:
            size, self._block = 0, []
        if self.server.read_ahead.exchanges(self._counted, size):
            self._counted = size
        else:
            self.fail(Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many long header blocks are under way"))
            self._count_block()

    def _begin(self, stream: Stream[ClientStreamOwner], request: Request, ended: bool) -> None:
        length = request.content_length
        if length is not None:
            if ended and length:
                self.server.malformed_total += 1
                raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "no body, and content-length says that there is")
            stream.remaining = length
        exchange = self._exchange_class(StreamHead(request), self, stream, self.clock())
        exchange.request_ended = ended
        stream.owner = exchange
        self._arrived.append(exchange)

    def _dispatch(self) -> None:
        arrived, self._arrived = self._arrived, []
        for exchange in arrived:
            if exchange.client_stream.closed:
                continue
            head = exchange.head
            if head.content_length is None:
                if exchange.has_all_of_its_body:
                    head.content_length = exchange.buffered
                else:
                    head.chunked = True
            exchange.dispatched = True
            try:
                self.server.dispatcher.arrive(exchange)
            except Exception:
                log.exception("a request could not be dispatched")
                self.reset(exchange.client_stream, ErrorCode.INTERNAL_ERROR)
                exchange.client_left()
        if self.server.draining:
            self.begin_drain()

    def _refuse(self, stream: Stream[ClientStreamOwner], head: Unacceptable, ended: bool) -> None:
        if head.status == 431:
            self.server.oversize_total += 1
        else:
            self.server.malformed_total += 1
        if not ended:
            stream.reset_after = ErrorCode.NO_ERROR
        made = stream_answer(error_answer(head.status, head.why), grpc=head.grpc, target=b"")
        self.send_headers(stream, made.block, not made.data)
        if made.data:
            self.send_data(stream, made.data, ended=True)

    def _last_stream_is_known(self) -> None:
        self.go_away(self.last_peer)
        if not self.streams:
            self._hang_up()

    def _hang_up(self, *, linger: bool = False) -> None:
        """Close once what was put is written; a client that does not read it is cut after a while."""
        self._closes_at = self.clock() + self.server.limits.linger_seconds
        self.look_at(self._closes_at)
        self.close_soon(linger=linger)

    def _leave_all(self) -> None:
        self._arrived = []
        for stream in list(self.streams.values()):
            exchange = stream.owner
            self._close_stream(stream)
            if exchange is not None:
                exchange.client_left()

    def _close_stream(self, stream: Stream[ClientStreamOwner]) -> None:
        stream.owner = None
        stream.closed = True
        stream.pending = None
        self.streams.pop(stream.id, None)
        self._ready.pop(stream, None)
