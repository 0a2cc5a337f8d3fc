"""A stream as an exchange: one request and its answer, and the one owner of the slot that it takes at an upstream.

To a dispatcher it is what an HTTP/1 exchange is. It stands between two streams, the client's and the upstream's, and
moves what comes on one to the other. A side that takes no more is felt by the other side through its window: bytes
are given back to whoever sent them only when they have left. So an exchange holds at most one window of each side.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from queue_proxy.http.answering import ANSWERING, CONNECTING, DONE, SENT, WAITING, State
from queue_proxy.http.answers import error_answer, error_event
from queue_proxy.http.contract import Answer, Lease, Outcome
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http2.answers import grpc_trailers, stream_answer
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.heads import Response, StreamHead, Trailers
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.legs import Leg, leg_pool
from queue_proxy.http2.stream import Stream

if TYPE_CHECKING:
    from queue_proxy.http.upstream import Upstream
    from queue_proxy.http2.server_connection import ServerConnection

log = logging.getLogger(__name__)

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


class StreamExchange:
    """One request and its answer on a stream. See `queue_proxy.http.Exchange` for what a dispatcher does with it."""

    context: object | None = None
    answered_at: float | None = None
    buffered: int = 0
    state: State = WAITING
    request_ended: bool = False
    dispatched: bool = False
    _lease: Lease | None = None
    _upstream: Upstream | None = None
    _connection: Leg | None = None
    _stream: Stream[StreamExchange] | None = None
    _trailers: Trailers | None = None
    _may_be_sent_again: bool = True
    _events: bool = False
    _quoted: bytearray | None = None
    _refused_status: int = 0
    _ended_at: float = 0.0

    def __init__(self, head: StreamHead, client: ServerConnection, stream: Stream[StreamExchange], now: float) -> None:
        self.head = head
        self.client = client
        self.client_stream = stream
        self.arrived_at = now
        self.clock_from = now
        self._heard_at = now
        self._held: list[bytes] = []

    # What a dispatcher does

    def add_line(self, name: bytes, value: bytes) -> None:
        """Forward one header line more; `name` in lower case, and both known to be valid."""
        self.head = self.head.with_line(name, value)

    def drop_lines(self, *names: bytes) -> None:
        """Do not forward headers of these names (in lower case)."""
        self.head = self.head.without(*names)

    def forward(self, upstream: Upstream, lease: Lease) -> None:
        """Send it to `upstream`; from here the exchange owns `lease` and releases it exactly once.

        On an exchange whose client has left, the lease is released at once. Raises RuntimeError when it was
        forwarded already: the second lease then stays with the caller.
        """
        if self.state is not WAITING:
            if self.state is DONE:
                lease.release(Outcome.ABANDONED)
                return
            raise RuntimeError(f"forward() on an exchange that is {self.state.value}")
        self._lease = lease
        self._upstream = upstream
        pool = leg_pool(upstream)
        connection = pool.take(self)
        if connection is None:
            self.state = CONNECTING
            pool.wait(self)
        else:
            self._send(connection)
        client = self.client
        http = client.http
        if http.timed:
            self._heard_at = client.clock()
            client.look_at(self.clock_from + http.shortest_timeout)

    def answer(self, answer: Answer) -> None:
        """Finish it with an answer of our own. Nothing happens if its client has left.

        Raises RuntimeError when it was forwarded.
        """
        if self.state is DONE:
            return
        if self.state is not WAITING:
            raise RuntimeError(f"answer() on an exchange that is {self.state.value}")
        self._answer_locally(answer)

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
        self.client.send_data(
            self.client_stream, b": %b\n\n" % text.replace(b"\r", b" ").replace(b"\n", b" "), ended=False
        )

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
        self.client.credit(self.client_stream, connection.send_data(stream, data, ended))

    def receive_request_trailers(self, trailers: Trailers) -> None:
        """The end of the request."""
        self.request_ended = True
        self._trailers = trailers
        if self._connection is not None and self._stream is not None:
            self._hear()
            self._connection.send_trailers(self._stream, trailers.block)

    def client_left(self) -> None:
        """The client has reset the stream, or is gone."""
        state = self.state
        if state is DONE:
            return
        if state is WAITING:
            self.state = DONE
            self._held = []
            if self.dispatched:
                self.client.http.dispatcher.abandoned(self)
            self.context = None
            return
        self._end(Outcome.ABANDONED)

    def client_took(self, size: int) -> None:
        """So many bytes of the answer, which had to wait, have left."""
        if self._connection is not None and self._stream is not None:
            self._connection.credit(self._stream, size)

    # What its upstream does

    def connected(self, connection: Leg) -> None:
        """The connection that it waited for is there."""
        self._send(connection)

    def unreachable(self, why: str) -> None:
        """No connection, or the upstream has declined the stream unseen. The dispatcher has it again."""
        upstream = self._upstream
        assert upstream is not None
        self._connection = None
        self._stream = None
        self._upstream = None
        self.state = WAITING
        self._release(Outcome.UNSENT)
        try:
            self.client.http.dispatcher.unreachable(self, upstream, why)
        except Exception:
            log.exception("a request could not be dispatched again")
            self.client.reset(self.client_stream, ErrorCode.INTERNAL_ERROR)
            self.client_left()

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
        """When the first of its timeouts passes; NEVER while it waits."""
        state = self.state
        if state is WAITING:
            return NEVER
        http = self.client.http
        if state is DONE:
            # Its last bytes wait for a window that the client may never open.
            return NEVER if self.client_stream.closed else self._ended_at + http.limits.idle_seconds
        timeouts = http.timeouts
        due = NEVER
        if timeouts.total:
            due = self.clock_from + timeouts.total
        if timeouts.response_start and state is not ANSWERING:
            due = min(due, self.clock_from + timeouts.response_start)
        if timeouts.idle:
            due = min(due, self._heard_at + timeouts.idle)
        return due

    def expire(self, now: float) -> float:
        """Fail if a timeout has passed; returns when to look again."""
        due = self.due()
        if due > now:
            return due
        if self.state is DONE:
            self.client.reset(self.client_stream, ErrorCode.CANCEL)
        else:
            self._fail(504, "the model did not answer in time")
        return self.due()

    # How it goes on

    def _hear(self) -> None:
        if self.client.http.timed_idle:
            self._heard_at = self.client.clock()

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
        connection.send_headers(stream, self.head.block(), ended and not held and trailers is None)
        if held:
            data = held[0] if len(held) == 1 else b"".join(held)
            self.buffered = 0
            if not ended:
                # A part that has left is not there any more to be sent again.
                self._held = []
                self._may_be_sent_again = False
            client.credit(self.client_stream, connection.send_data(stream, data, ended and trailers is None))
        if trailers is not None:
            connection.send_trailers(stream, trailers.block)

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
        """It cannot be finished: answer if the client has no byte of an answer yet, otherwise make it visible."""
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
        self.state = DONE
        self.context = None
        self._ended_at = self.client.clock()
        self._held = []
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
        """End it after it was forwarded: let go of the upstream's stream, then of the lease."""
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
            self.client.look_at(self._ended_at + self.client.http.limits.idle_seconds)
        self._release(outcome)
        self.context = None

    def _release(self, outcome: Outcome) -> None:
        lease = self._lease
        self._lease = None
        if lease is None:
            return
        try:
            lease.release(outcome)
        except Exception:
            # A fault in counting must not take the client's answer with it.
            log.exception("a lease could not be released")
