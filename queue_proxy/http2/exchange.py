"""A stream as an exchange: one request and its answer, and the one owner of the slot that it takes at an upstream.

To a dispatcher it is what an HTTP/1 exchange is. It stands between two streams, the client's and the upstream's, and
moves what comes on one to the other. A side that takes no more is felt by the other side through its window: bytes
are given back to whoever sent them only when they have left. So an exchange holds at most one window of each side.
"""

from __future__ import annotations

from typing import Final

from queue_proxy.http.answers import comment
from queue_proxy.http.contract import HttpLimits
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.lease_holder import CONNECTING, DONE, SECONDS_PER_BYTE, SENT, WAITING
from queue_proxy.http.upstream import Upstream
from queue_proxy.http2.answering import StreamAnswering
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.grpc_timeout import GRPC_TIMEOUT, WORTH_TELLING_SECONDS, lessened
from queue_proxy.http2.heads import StreamHead, Trailers
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.leg_pool import leg_pool
from queue_proxy.http2.sides import ClientStreamOwner, Leg, StreamClient, UpstreamStreamOwner
from queue_proxy.http2.stream import Stream

_EVENTS_HEAD: Final = encode(
    (
        (b":status", b"200"),
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    )
)
_NO_TRAILERS: Final = Trailers((), b"")


class StreamExchange(StreamAnswering):
    """One request and its answer on a stream. See `queue_proxy.http.Exchange` for what a dispatcher does with it."""

    request_ended: bool = False
    dispatched: bool = False
    _trailers: Trailers | None = None
    _may_be_sent_again: bool = True
    _untaken: int = 0

    def __init__(self, head: StreamHead, client: StreamClient, stream: Stream[ClientStreamOwner], now: float) -> None:
        self.head = head
        self.client = client
        self.client_stream = stream
        self.arrived_at = now
        self.clock_from = now
        self._heard_at = now
        self._held: list[bytes] = []

    # What a dispatcher does

    def begin_events(self) -> None:
        """Start a 200 text/event-stream while the exchange waits, so that `comment` can keep its client patient.

        Does nothing for gRPC, whose clients wait patiently by themselves, or on a HEAD request.
        """
        request = self.head.request
        if self.state is not WAITING or self._events or request.grpc or request.method == b"HEAD":
            return
        self._events = True
        self.drop_lines(b"accept-encoding")
        self.client.send_headers(self.client_stream, _EVENTS_HEAD, False)

    def comment(self, text: bytes) -> None:
        """Send one comment line. Does nothing unless `begin_events` has begun and no answer is there."""
        if not self._events or self.state not in (WAITING, CONNECTING, SENT) or self.client_stream.pending is not None:
            return
        self.client.send_data(self.client_stream, comment(text), ended=False)

    # What its client does

    def receive_body(self, data: bytes, ended: bool) -> None:
        """A part of the request's body."""
        self.request_ended = ended
        connection, stream = self._connection, self._stream
        if connection is None or stream is None:
            if self.state is DONE:
                self.client.credit(self.client_stream, len(data))
                return
            if data:
                self._held.append(data)
                self.buffered += len(data)
            return
        self._hear()
        self._may_be_sent_again = False
        self._pass_on(connection, stream, data, ended)

    def receive_request_trailers(self, trailers: Trailers) -> None:
        """The end of the request. Behind a body whose length was declared trailers are left out, as HTTP/1 has none
        there either: while it waits, that length is all that is counted for it."""
        self.request_ended = True
        if self.head.request.content_length is not None:
            trailers = _NO_TRAILERS
        self._trailers = trailers
        if self._connection is not None and self._stream is not None:
            self._hear()
            self._connection.send_trailers(self._stream, trailers.block)

    def client_took(self, size: int) -> None:
        """So many bytes of the answer, which had to wait, have left."""
        if self._connection is not None and self._stream is not None:
            self._connection.credit(self._stream, size)

    @property
    def has_all_of_its_body(self) -> bool:
        """Whether what is buffered is all that it takes: nothing comes any more, and no trailers have come."""
        return self.request_ended and self._trailers is None

    # What its upstream does

    @property
    def answer_limits(self) -> HttpLimits:
        """Bounds on an answer's head, where it comes as HTTP/1, and on what is held of its body."""
        return self.client.server.limits

    def connected(self, connection: Leg) -> None:
        """The connection that it waited for is there."""
        self._heard_at = self.client.clock()
        self._send(connection)

    def unreachable(self, why: str) -> None:
        """See LeaseHolder."""
        self._connection = None
        self._stream = None
        super().unreachable(why)

    def upstream_took(self, size: int) -> None:
        """So many bytes of the request, which had to wait, have left."""
        self._hear()
        self._untaken -= size
        if not self._untaken:
            self._expect_body(NEVER)
        self.client.credit(self.client_stream, size)

    def upstream_reset(self, code: int) -> None:
        """The upstream has reset the stream."""
        if code == ErrorCode.REFUSED_STREAM and self.state is SENT:
            self.upstream_declined("the model's server refused the stream")
        else:
            name = ErrorCode(code).name if code < 14 else str(code)
            self.upstream_broke(f"the model's server reset the stream ({name})")

    def upstream_declined(self, why: str) -> None:
        """The upstream says that it has not looked at the request: it may be sent again, if we still have it."""
        if self.state is SENT and self._may_be_sent_again and not self._events:
            self.unreachable(why)
        else:
            self.upstream_broke(why)

    def upstream_broke(self, why: str) -> None:
        """The upstream's stream, or its connection, is gone."""
        self._connection = None
        self._stream = None
        self._fail(502, why)

    def _is_upstreams_turn(self) -> bool:
        return self._untaken > 0

    # How it goes on

    def _start(self, upstream: Upstream, now: float) -> None:
        pool = leg_pool(upstream)
        connection = pool.take(self)
        if connection is None:
            self.state = CONNECTING
            pool.wait(self)
        else:
            self._send(connection)

    def _stop_connecting(self) -> None:
        if self._upstream is not None:
            leg_pool(self._upstream).leave(self)

    def _send(self, connection: Leg) -> None:
        """Send the head and what is there of the body."""
        client = self.client
        stream = connection.open(self, client.limits.waiting_bytes)
        self._connection = connection
        self._stream = stream
        self.state = SENT
        held = self._held
        trailers = self._trailers
        ended = self.request_ended
        if self._heard_at - self.arrived_at >= WORTH_TELLING_SECONDS and self.head.request.grpc:
            self._lessen_timeout()
        connection.send_headers(stream, self.head.block(), ended and not held and trailers is None)
        if held:
            data = held[0] if len(held) == 1 else b"".join(held)
            self.buffered = 0
            if not ended:
                # A part that has left is not there any more to be sent again.
                self._held = []
                self._may_be_sent_again = False
            self._pass_on(connection, stream, data, ended and trailers is None)
        if trailers is not None:
            connection.send_trailers(stream, trailers.block)
        if not ended:
            self._expect_body(0.0)

    def _lessen_timeout(self) -> None:
        """Tell the model how much of its caller's deadline is left."""
        given = next((value for name, value in self.head.request.pairs if name == GRPC_TIMEOUT), None)
        if given is not None:
            self.drop_lines(GRPC_TIMEOUT)
            self.add_line(GRPC_TIMEOUT, lessened(given, self._heard_at - self.arrived_at))

    def _pass_on(self, connection: Leg, stream: Stream[UpstreamStreamOwner], data: bytes, ended: bool) -> None:
        """A part of the body."""
        taken = connection.send_data(stream, data, ended)
        self._untaken += len(data) - taken
        self.client.credit(self.client_stream, taken)
        if not ended:
            # Whoever calls sends messages as they come about, each of them whole: it is late only if none comes.
            self._expect_body(NEVER if self.head.request.grpc else len(data) * SECONDS_PER_BYTE)

    def _forget(self) -> None:
        self.state = DONE
        self._held = []

    def _leave_line(self) -> None:
        if self.dispatched:
            super()._leave_line()
        else:
            self._forget()
