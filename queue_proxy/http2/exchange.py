"""A stream as an exchange: one request and its answer, and the one owner of the slot that it takes at an upstream.

To a dispatcher it is what an HTTP/1 exchange is. It stands between two streams, the client's and the upstream's, and
moves what comes on one to the other. A side that takes no more is felt by the other side through its window: bytes
are given back to whoever sent them only when they have left. So an exchange holds at most one window of each side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from queue_proxy.http.answers import comment, error_answer, error_event
from queue_proxy.http.contract import Answer, Outcome
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.lease_holder import ANSWERING, CONNECTING, DONE, SECONDS_PER_BYTE, SENT, WAITING, LeaseHolder
from queue_proxy.http2.answers import grpc_trailers, stream_answer
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.grpc_timeout import GRPC_TIMEOUT, WORTH_TELLING_SECONDS, lessened
from queue_proxy.http2.heads import Response, StreamHead, Trailers
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.legs import Leg, leg_pool
from queue_proxy.http2.stream import Stream

if TYPE_CHECKING:
    from queue_proxy.http.upstream import Upstream
    from queue_proxy.http2.server_connection import ServerConnection

_EVENTS_HEAD: Final = encode(
    (
        (b":status", b"200"),
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    )
)
_MOST_QUOTED: Final = 4_096


# Every call passes this; a name of the module costs less than an attribute of the enum.
_COMPLETED: Final = Outcome.COMPLETED


class StreamExchange(LeaseHolder):
    """One request and its answer on a stream. See `queue_proxy.http.Exchange` for what a dispatcher does with it."""

    head: StreamHead
    client: ServerConnection
    request_ended: bool = False
    dispatched: bool = False
    _connection: Leg | None = None
    _stream: Stream[StreamExchange] | None = None
    _trailers: Trailers | None = None
    _may_be_sent_again: bool = True
    _events: bool = False
    _quoted: bytearray | None = None
    _refused_status: int = 0
    _ended_at: float = 0.0
    _untaken: int = 0

    def __init__(self, head: StreamHead, client: ServerConnection, stream: Stream[StreamExchange], now: float) -> None:
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
        """The end of the request."""
        self.request_ended = True
        self._trailers = trailers
        if self._connection is not None and self._stream is not None:
            self._hear()
            self._connection.send_trailers(self._stream, trailers.block)

    def client_took(self, size: int) -> None:
        """So many bytes of the answer, which had to wait, have left."""
        if self._connection is not None and self._stream is not None:
            self._connection.credit(self._stream, size)

    # What its upstream does

    def connected(self, connection: Leg) -> None:
        """The connection that it waited for is there."""
        self._heard_at = self.client.clock()
        self._send(connection)

    def unreachable(self, why: str) -> None:
        """See LeaseHolder."""
        self._connection = None
        self._stream = None
        super().unreachable(why)

    def receive_head(self, head: Response | Trailers, ended: bool) -> None:
        """The head of the answer, an interim one, or the trailers."""
        self._hear()
        if isinstance(head, Trailers):
            if self.state is not ANSWERING or not ended:
                self._fail(502, "the model's answer: trailers in the wrong place")
            elif self._events:
                self._end_events()
            else:
                self._complete_with(head.block)
            return
        if self.state is not SENT or (head.status < 200 and ended):
            self._fail(502, "the model's answer: a second head")
            return
        if head.status < 200:
            if not self._events:
                self.client.send_headers(self.client_stream, head.block, False)
            return
        self.state = ANSWERING
        self.answered_at = self.client.clock()
        self._held = []
        if self._events:
            if head.status != 200 or not head.events:
                self._quoted = bytearray()
                self._refused_status = head.status
            if ended:
                self._end_events()
        elif ended:
            self._before_the_end()
            self.client.send_headers(self.client_stream, head.block, True)
            self._end(_COMPLETED)
        else:
            self.client.send_headers(self.client_stream, head.block, False)

    def receive_data(self, data: bytes, ended: bool) -> None:
        """A part of the answer's body."""
        self._hear()
        connection, stream = self._connection, self._stream
        assert connection is not None
        assert stream is not None
        if self.state is not ANSWERING:
            self._fail(502, "the model's answer: a body without a head")
            return
        if self._quoted is not None:
            self._quoted += data[: _MOST_QUOTED - len(self._quoted)]
            connection.credit(stream, len(data))
            if ended:
                self._end_events()
            return
        if ended:
            self._before_the_end()
        sent = self.client.send_data(self.client_stream, data, ended)
        if ended:
            self._end(_COMPLETED)
        else:
            connection.credit(stream, sent)

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

    # Deadlines

    def due(self) -> float:
        """See LeaseHolder."""
        if self.state is DONE and not self.client_stream.closed:
            # Its last bytes wait for a window that the client may never open.
            return self._ended_at + self.client.server.limits.idle_seconds
        return super().due()

    def expire(self, now: float) -> float:
        """See LeaseHolder."""
        if self.state is DONE and self.due() <= now:
            self.client.reset(self.client_stream, ErrorCode.CANCEL)
        return super().expire(now)

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

    def _pass_on(self, connection: Leg, stream: Stream[StreamExchange], data: bytes, ended: bool) -> None:
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

    # How it ends

    def _before_the_end(self) -> None:
        """The answer is about to be whole: if the request is not, its client may stop sending it."""
        if not self.request_ended:
            self.client_stream.reset_after = ErrorCode.NO_ERROR

    def _complete_with(self, trailers: bytes) -> None:
        self._before_the_end()
        self.client.send_trailers(self.client_stream, trailers)
        self._end(_COMPLETED)

    def _end_events(self) -> None:
        """The end of an answer to somebody whose event stream we began."""
        self._before_the_end()
        data = b"" if self._quoted is None else error_event(self._refused_status, bytes(self._quoted))
        self.client.send_data(self.client_stream, data, ended=True)
        self._end(_COMPLETED)

    def _fail(self, status: int, why: str) -> None:
        answering = self.state is ANSWERING
        self._end(Outcome.FAILED)
        if not answering or (self._events and self._quoted is not None):
            self._answer_locally(error_answer(status, why))
        elif self.head.request.grpc:
            self._before_the_end()
            self.client.send_trailers(self.client_stream, grpc_trailers(status, why))
        else:
            self.client.reset(self.client_stream, ErrorCode.INTERNAL_ERROR)

    def _answer_locally(self, answer: Answer) -> None:
        self._ended_at = self.client.clock()
        self._before_the_end()
        client, stream = self.client, self.client_stream
        if self._events:
            client.send_data(stream, error_event(answer.status, answer.body), ended=True)
            return
        request = self.head.request
        made = stream_answer(answer, grpc=request.grpc, target=request.target, for_head=request.method == b"HEAD")
        client.send_headers(stream, made.block, not made.data and not made.trailers)
        if made.data:
            client.send_data(stream, made.data, ended=not made.trailers)
        if made.trailers:
            client.send_trailers(stream, made.trailers)

    def _end(self, outcome: Outcome) -> None:
        if self.state is CONNECTING and self._upstream is not None:
            leg_pool(self._upstream).leave(self)
        self.state = DONE
        self._held = []
        connection, stream = self._connection, self._stream
        self._connection = None
        self._stream = None
        if stream is not None:
            stream.owner = None
            if connection is not None and not stream.closed:
                connection.reset(stream, ErrorCode.CANCEL)
        self._ended_at = self.client.clock()
        if not self.client_stream.closed:
            self.client.look_at(self._ended_at + self.client.server.limits.idle_seconds)
        self._release(outcome)
        self.context = None
