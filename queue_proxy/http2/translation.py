"""Streams to a model that speaks HTTP/1: one connection for each, with the request and the answer rewritten.

For clients and gateways that speak HTTP/2 to everything. What HTTP/1 cannot say is left out: trailers of requests,
and those of answers. A head that passed our rules for HTTP/2 has no byte that could end a line, no second length and
no field of a connection, so what is written here means one request to every server.
"""

from __future__ import annotations

from typing import Final

from queue_proxy.http.answers import LAST_CHUNK, chunk
from queue_proxy.http.body import BodyError, BodyFraming, ChunkedBody, LengthBody, UntilCloseBody
from queue_proxy.http.lines import HeadError, name_of, value_of
from queue_proxy.http.response_head import ResponseHead, parse_response
from queue_proxy.http.upstream import Attempt, Upstream
from queue_proxy.http.upstream_connection import UpstreamConnection
from queue_proxy.http2.frames import MOST_WINDOW, ErrorCode
from queue_proxy.http2.heads import Malformed, StreamHead, read_response
from queue_proxy.http2.hpack import HeaderList
from queue_proxy.http2.sides import UpstreamStreamOwner
from queue_proxy.http2.stream import Stream

_NOT_IN_HTTP1: Final = frozenset({b"te", b"content-length", b"cookie"})
_NOT_IN_HTTP2: Final = frozenset({b"transfer-encoding", b"connection", b"keep-alive", b"trailer", b"upgrade"})
_EXPECTS_A_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
_DIED: Final = "the model's server closed the connection before its answer was whole"


def request_bytes(head: StreamHead) -> bytes:
    """The head as HTTP/1.1 writes it."""
    request = head.request
    lines = [b"%b %b HTTP/1.1" % (request.method, request.target), b"host: " + request.host]
    fields = [pair for pair in head.forwarded() if pair[0][:1] != b":"]
    lines += [b"%b: %b" % pair for pair in fields if pair[0] not in _NOT_IN_HTTP1]
    cookies = [value for name, value in fields if name == b"cookie"]
    if cookies:
        # HTTP/2 may send them one by one; HTTP/1 has one line for all (RFC 9113 section 8.2.3).
        lines.append(b"cookie: " + b"; ".join(cookies))
    if head.chunked:
        lines.append(b"transfer-encoding: chunked")
    elif head.content_length or request.content_length is not None or request.method in _EXPECTS_A_BODY:
        lines.append(b"content-length: %d" % (head.content_length or 0))
    return b"\r\n".join(lines) + b"\r\n\r\n"


class TranslatedStream:
    """One request on one HTTP/1 connection. To its exchange it is a leg, to its connection a sender."""

    def __init__(self, pool: TranslatingPool, exchange: UpstreamStreamOwner) -> None:
        self._pool = pool
        self._exchange = exchange
        self._limits = exchange.answer_limits
        self._connection: UpstreamConnection | None = None
        self._stream: Stream[UpstreamStreamOwner] | None = None
        self._chunked = exchange.head.chunked
        self._request_ended = False
        self._not_taken = 0
        self._partial = b""
        self._interim_bytes = 0
        self._head: ResponseHead | None = None
        self._framing: BodyFraming = LengthBody(0)
        self._held = 0

    # What the connection says

    def connected(self, connection: UpstreamConnection) -> None:
        """See Sender."""
        self._pool.forget(self._exchange)
        self.use(connection)
        self._exchange.connected(self)

    def unreachable(self, why: str) -> None:
        """See Sender."""
        self._pool.forget(self._exchange)
        self._exchange.unreachable(why)

    def receive_answer(self, data: bytes) -> None:
        """See Sender."""
        try:
            if self._head is None:
                data = self._receive_head(self._partial + data)
            if self._head is not None and self._connection is not None and data:
                self._receive_body(data)
        except (HeadError, BodyError) as error:
            self._break(f"the model's answer: {error}")

    def upstream_ended(self) -> bool:
        """See Sender."""
        return False

    def upstream_lost(self, exc: Exception | None) -> None:
        """See Sender."""
        self._connection = None
        if exc is None and self._head is not None and isinstance(self._framing, UntilCloseBody):
            self._finish()
            self._exchange.receive_data(b"", True)
        else:
            self._break(_DIED)

    def upstream_full(self) -> None:
        """See Sender."""

    def upstream_drained(self) -> None:
        """See Sender."""
        taken, self._not_taken = self._not_taken, 0
        if taken:
            self._exchange.upstream_took(taken)

    # What the exchange says

    def use(self, connection: UpstreamConnection) -> None:
        """Send on this connection."""
        self._connection = connection
        connection.exchange = self

    def open(self, owner: UpstreamStreamOwner, receive_window: int) -> Stream[UpstreamStreamOwner]:
        """See Leg."""
        self._stream = Stream(1, MOST_WINDOW, receive_window, owner)
        return self._stream

    def send_headers(self, stream: Stream[UpstreamStreamOwner], block: bytes, ended: bool) -> None:
        """See Leg. The block is another protocol's; the head is written anew."""
        self._request_ended = ended
        self._write(request_bytes(self._exchange.head))

    def send_data(self, stream: Stream[UpstreamStreamOwner], data: bytes, ended: bool) -> int:
        """See Leg."""
        self._request_ended = ended
        connection = self._connection
        if connection is None:
            return len(data)
        was_full = connection.full
        if self._chunked:
            data_and_end = (chunk(data) if data else b"") + (LAST_CHUNK if ended else b"")
            self._write(data_and_end)
        else:
            self._write(data)
        if was_full or connection.full:
            self._not_taken += len(data)
            return 0
        return len(data)

    def send_trailers(self, stream: Stream[UpstreamStreamOwner], block: bytes) -> None:
        """See Leg. Trailers are left out, which HTTP allows."""
        self.send_data(stream, b"", ended=True)

    def credit(self, stream: Stream[UpstreamStreamOwner], size: int) -> None:
        """See Leg."""
        self._held -= size
        if self._connection is not None and self._held < self._limits.waiting_bytes:
            self._connection.resume_reading()

    def reset(self, stream: Stream[UpstreamStreamOwner], code: ErrorCode) -> None:
        """See Leg."""
        stream.closed = True
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    # How

    def _write(self, data: bytes) -> None:
        if self._connection is not None and data:
            self._connection.write(data)

    def _receive_head(self, data: bytes) -> bytes:
        """Look for the head; returns what stands behind it. Raises HeadError."""
        limits = self._limits
        self._partial = b""
        while data and self._head is None and self._connection is not None:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > limits.head_bytes:
                if len(data) > limits.head_bytes:
                    raise HeadError(502, "its head is too long")
                self._partial = data
                return b""
            self._begin(parse_response(data[:end], limits.header_lines))
            if self._head is None:
                self._interim_bytes += end
                if self._interim_bytes > limits.head_bytes:
                    raise HeadError(502, "interim answers without end")
            data = data[end + 4 :]
        return data

    def _begin(self, head: ResponseHead) -> None:
        """A head, perhaps an interim one. Raises HeadError."""
        fields = [(name_of(line), value_of(line)) for line in head.lines[1:]]
        pairs = [(b":status", b"%d" % head.status), *(pair for pair in fields if pair[0] not in _NOT_IN_HTTP2)]
        read = read_response(HeaderList(pairs, frozenset(), False))
        if isinstance(read, Malformed):
            raise HeadError(502, read.why)
        if head.status < 200:
            self._exchange.receive_head(read, False)
            return
        self._head = head
        framing = self._framing = self._framing_of(head)
        if framing.ended:
            self._finish()
        self._exchange.receive_head(read, framing.ended)

    def _framing_of(self, head: ResponseHead) -> BodyFraming:
        if self._exchange.head.method == b"HEAD" or not head.may_have_body:
            return LengthBody(0)
        if head.chunked:
            return ChunkedBody(self._limits.trailer_bytes)
        if head.content_length is not None:
            return LengthBody(head.content_length)
        return UntilCloseBody()

    def _receive_body(self, data: bytes) -> None:
        """Raises BodyError."""
        sink: list[bytes] = []
        used = self._framing.feed(data, sink)
        body = b"".join(sink)
        if self._framing.ended:
            self._finish(clean=used == len(data))
            self._exchange.receive_data(body, True)
            return
        if not body:
            return
        self._held += len(body)
        if self._held >= self._limits.waiting_bytes and self._connection is not None:
            self._connection.pause_reading()
        self._exchange.receive_data(body, False)

    def _finish(self, *, clean: bool = True) -> None:
        """The answer is whole: give the connection back, if it can serve again, before the exchange gives up its
        slot."""
        if self._stream is not None:
            self._stream.closed = True
        connection, self._connection = self._connection, None
        if connection is None or self._head is None:
            return
        connection.exchange = None
        if clean and self._request_ended and not self._head.closes:
            self._pool.upstream.put(connection, self._pool.upstream.clock())
        else:
            connection.abort()

    def _break(self, why: str) -> None:
        if self._stream is not None:
            self.reset(self._stream, ErrorCode.INTERNAL_ERROR)
        self._exchange.upstream_broke(why)


class TranslatingPool:
    """Gives each exchange a connection of the upstream's own pool, translated."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self._attempts: dict[UpstreamStreamOwner, Attempt] = {}

    def take(self, exchange: UpstreamStreamOwner) -> TranslatedStream | None:
        """See LegPool."""
        connection = self.upstream.take(self.upstream.clock())
        if connection is None:
            return None
        leg = TranslatedStream(self, exchange)
        leg.use(connection)
        return leg

    def wait(self, exchange: UpstreamStreamOwner) -> None:
        """See LegPool."""
        self._attempts[exchange] = self.upstream.connect(TranslatedStream(self, exchange))

    def leave(self, exchange: UpstreamStreamOwner) -> None:
        """See LegPool."""
        attempt = self._attempts.pop(exchange, None)
        if attempt is not None:
            attempt.exchange = None

    def forget(self, exchange: UpstreamStreamOwner) -> None:
        """Its attempt has ended."""
        self._attempts.pop(exchange, None)

    def close(self) -> None:
        """Connections belong to the upstream, which closes them itself."""
