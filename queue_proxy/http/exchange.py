"""Exchange: one request and its answer, and the one owner of the slot that it takes at an upstream.

Every way in which an exchange can end goes through `_end` (or, before it was forwarded, `_forget`), and only
there the lease is released. What can happen to an exchange is an event with a method of its own: its client
sends, leaves, or takes no more; its upstream connects, refuses, answers, dies, or takes no more; a deadline passes.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from queue_proxy.http.answers import (
    LAST_CHUNK,
    answer_bytes,
    chunk,
    error_answer,
    error_event,
    events_head,
)
from queue_proxy.http.body import BodyError, BodyFraming, ChunkedBody, LengthBody, UntilCloseBody
from queue_proxy.http.contract import Answer, Lease, Outcome
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.fields import HeadError
from queue_proxy.http.head import RequestHead, ResponseHead, parse_response
from queue_proxy.http.splice import ChunkSplice, ErrorSplice, PlainSplice, Splice, splice_into_events
from queue_proxy.http.upstream import Attempt, Upstream, UpstreamConnection, close_quietly

if TYPE_CHECKING:
    from queue_proxy.http.client import ClientConnection

log = logging.getLogger(__name__)


class State(Enum):
    """Where an exchange stands.

    WAITING     the dispatcher has it
    CONNECTING  it owns a lease and waits for a connection
    SENT        at least its head was written to an upstream; the client has no byte of the upstream's answer
    ANSWERING   the client has the head of the upstream's answer
    TUNNEL      the connection was upgraded
    DONE        nothing more will happen
    """

    WAITING = "waiting"
    CONNECTING = "connecting"
    SENT = "sent"
    ANSWERING = "answering"
    TUNNEL = "tunnel"
    DONE = "done"


WAITING = State.WAITING
CONNECTING = State.CONNECTING
SENT = State.SENT
ANSWERING = State.ANSWERING
TUNNEL = State.TUNNEL
DONE = State.DONE


class Exchange:
    """One request and its answer.

    head        the request's head
    arrived_at  when the head was whole, by the server's clock
    clock_from  from when timeouts count; set to `arrived_at`, a dispatcher may move it before it forwards
    buffered    bytes of the request's body that are held in memory now
    context     free for the dispatcher
    """

    __slots__ = (
        "_answer_body",
        "_attempt",
        "_closing",
        "_connection",
        "_events",
        "_half_closed",
        "_heard_at",
        "_held",
        "_lease",
        "_partial",
        "_request_body",
        "_response",
        "_splice",
        "_upstream",
        "arrived_at",
        "buffered",
        "client",
        "clock_from",
        "context",
        "head",
        "request_ended",
        "state",
    )

    def __init__(self, head: RequestHead, client: ClientConnection, now: float) -> None:
        self.head = head
        self.client = client
        self.arrived_at = now
        self.clock_from = now
        self.buffered = 0
        self.context: object | None = None
        self.state = WAITING
        self.request_ended = True
        self._request_body: BodyFraming | None = None
        self._held: list[bytes] = []
        self._lease: Lease | None = None
        self._upstream: Upstream | None = None
        self._attempt: Attempt | None = None
        self._connection: UpstreamConnection | None = None
        self._response: ResponseHead | None = None
        self._answer_body: BodyFraming | None = None
        self._splice: Splice | None = None
        self._partial = b""
        self._events = False
        self._closing = False
        self._half_closed = False
        self._heard_at = now
        if head.chunked:
            self._request_body = ChunkedBody(client.limits.trailer_bytes)
            self.request_ended = False
        elif head.content_length:
            self._request_body = LengthBody(head.content_length)
            self.request_ended = False

    # What a dispatcher does

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
        connection = upstream.take()
        if connection is None:
            self.state = CONNECTING
            self._attempt = upstream.connect(self)
        else:
            self._send(connection)
        if self.client.server.timed:
            self._heard_at = self.client.clock()
            self.client.look_at(self.due())

    def answer(self, answer: Answer) -> None:
        """Finish it with an answer of our own. Nothing happens if its client has left.

        Raises RuntimeError when it was forwarded.
        """
        if self.state is DONE:
            return
        if self.state is not WAITING:
            raise RuntimeError(f"answer() on an exchange that is {self.state.value}")
        self._forget()
        self._answer_locally(answer)

    def begin_events(self) -> None:
        """Start a 200 text/event-stream while the exchange waits, so that `comment` can keep its client patient.

        A later `forward()` splices the upstream's events in; an answer that is no event stream becomes one
        `error` event. Does nothing on a HEAD request or when it has begun.
        """
        if self.state is not WAITING or self._events or self.head.method == b"HEAD":
            return
        self._events = True
        self.head.without(b"accept-encoding")
        self.client.write(events_head(self._chunks_to_client))

    def comment(self, text: bytes) -> None:
        """Send one comment line, `: text`. Does nothing unless `begin_events` has begun and it still waits."""
        if not self._events or self.state not in (WAITING, CONNECTING, SENT) or self.client.full:
            return
        line = b": %b\n\n" % text.replace(b"\r", b" ").replace(b"\n", b" ")
        self.client.write(chunk(line) if self._chunks_to_client else line)

    # What its client does

    def receive_body(self, data: bytes) -> bytes:
        """Take bytes that follow the head; returns those that do not belong to this exchange. Raises BodyError."""
        if self.state is TUNNEL:
            if self._connection is not None:
                self._hear()
                self._connection.write(data)
            return b""
        framing = self._request_body
        if framing is None or self.request_ended:
            return data
        used = framing.feed(data)
        rest = b""
        if used < len(data):
            data, rest = data[:used], data[used:]
        self.request_ended = framing.ended
        connection = self._connection
        if connection is not None:
            self._hear()
            connection.write(data)
        else:
            self._held.append(data)
            self.buffered += used
            if self.buffered >= self.client.limits.waiting_bytes and not self.request_ended:
                self.client.block(self.client.BODY_HELD)
        return rest

    def client_ended(self) -> bool:
        """The client has said its last word. True when its connection shall stay open for the other direction."""
        connection = self._connection
        if self.state is not TUNNEL or connection is None:
            self.client_left()
            return False
        if not self._half_closed:
            self._half_closed = True
            close_quietly(connection.transport)
            return True
        self._connection = None
        connection.close()
        self._end(Outcome.COMPLETED, keep=False)
        self.client.finish(closing=True, linger=False)
        return True

    def request_broken(self, why: str) -> None:
        """The request's body does not keep to its framing."""
        if self.state is WAITING:
            self._forget()
            self.client.server.dispatcher.abandoned(self)
            self._answer_locally(error_answer(400, why, close=True))
        else:
            self._fail(400, why)

    def client_left(self) -> None:
        """The client is gone."""
        state = self.state
        if state is DONE:
            return
        if state is WAITING:
            self._forget()
            self.client.server.dispatcher.abandoned(self)
            return
        self._end(Outcome.ABANDONED, keep=False)

    def client_full(self) -> None:
        """The client takes no more for now."""
        if self._connection is not None:
            self._connection.pause_reading()

    def client_drained(self) -> None:
        """The client takes more."""
        if self._connection is not None:
            self._connection.resume_reading()

    # What its upstream does

    def connected(self, connection: UpstreamConnection) -> None:
        """The connection that was asked for is there."""
        self._attempt = None
        self._send(connection)

    def unreachable(self, why: str) -> None:
        """No connection; not one byte was sent. The dispatcher has it again."""
        upstream = self._upstream
        assert upstream is not None
        self._attempt = None
        self._upstream = None
        self.state = WAITING
        self._release(Outcome.FAILED)
        self.client.server.dispatcher.unreachable(self, upstream, why)

    def receive_answer(self, data: bytes) -> None:
        """Bytes from the upstream."""
        if self.client.server.timed:
            self._heard_at = self.client.clock()
        state = self.state
        if state is ANSWERING:
            self._relay(data)
        elif state is SENT:
            self._receive_head(data)
        else:
            self.client.write(data)

    def upstream_ended(self) -> bool:
        """The upstream has said its last word. True when its connection shall stay open for the other direction."""
        if self.state is not TUNNEL or self._half_closed or self.client.transport.is_closing():
            return False
        self._half_closed = True
        close_quietly(self.client.transport)
        return True

    def upstream_lost(self, exc: Exception | None) -> None:
        """The upstream's connection is gone."""
        self._connection = None
        if self.state is TUNNEL:
            self._end(Outcome.COMPLETED if exc is None else Outcome.FAILED, keep=False)
            self.client.finish(closing=True, linger=False)
        elif self.state is ANSWERING and exc is None and isinstance(self._answer_body, UntilCloseBody):
            self._complete(clean=False)
        else:
            self._fail(502, "the model's server closed the connection before its answer was whole")

    def upstream_full(self) -> None:
        """The upstream takes no more of the request for now."""
        self.client.block(self.client.UPSTREAM_FULL)

    def upstream_drained(self) -> None:
        """The upstream takes more."""
        self.client.unblock(self.client.UPSTREAM_FULL)

    # Deadlines

    def due(self) -> float:
        """When the first of its timeouts passes; NEVER while it waits."""
        state = self.state
        if state is DONE or state is WAITING:
            return NEVER
        timeouts = self.client.server.timeouts
        due = NEVER
        if timeouts.total and state is not TUNNEL:
            due = self.clock_from + timeouts.total
        if timeouts.response_start and state is not ANSWERING and state is not TUNNEL:
            due = min(due, self.clock_from + timeouts.response_start)
        if timeouts.idle:
            due = min(due, self._heard_at + timeouts.idle)
        return due

    def expire(self, now: float) -> float:
        """Fail if a timeout has passed; returns when to look again."""
        due = self.due()
        if due > now:
            return due
        self._fail(504, "the model did not answer in time")
        return NEVER

    # How it goes on

    @property
    def _chunks_to_client(self) -> bool:
        return self.head.version != b"HTTP/1.0"

    def _hear(self) -> None:
        if self.client.server.timed:
            self._heard_at = self.client.clock()

    def _send(self, connection: UpstreamConnection) -> None:
        """Write the head and what is there of the body, at once and in one piece."""
        self._connection = connection
        connection.exchange = self
        self.state = SENT
        if self._held:
            data = b"".join((self.head.to_bytes(), *self._held))
            self._held.clear()
            self.buffered = 0
            self.client.unblock(self.client.BODY_HELD)
        else:
            data = self.head.to_bytes()
        connection.write(data)

    def _receive_head(self, data: bytes) -> None:
        """Look for the answer's head; interim answers are passed on."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        limits = self.client.limits
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > limits.head_bytes:
                if len(data) > limits.head_bytes:
                    self._fail(502, "the head of the model's answer is too long")
                self._partial = data
                return
            try:
                head = parse_response(data[:end], limits.header_lines)
            except HeadError as error:
                self._fail(502, f"the model's answer: {error.why}")
                return
            if head.status >= 200:
                self._begin_answer(head, data, end + 4)
                return
            data = data[end + 4 :]
            if head.status == 101:
                self._begin_tunnel(head, data)
                return
            if self._chunks_to_client and not self._events:
                self.client.write(head.to_bytes(closing=False))
            if not data:
                return

    def _begin_answer(self, head: ResponseHead, data: bytes, start: int) -> None:
        """Pass the head on, together with what is there of the body."""
        self._response = head
        framing: BodyFraming
        if self.head.method == b"HEAD" or head.status == 204 or head.status == 304:
            framing = LengthBody(0)
        elif head.chunked:
            framing = ChunkedBody(self.client.limits.trailer_bytes)
        elif head.content_length is not None:
            framing = LengthBody(head.content_length)
        else:
            framing = UntilCloseBody()
            self._closing = not self._events
        self._answer_body = framing
        client = self.client
        if self.head.closes or client.server.draining or not self.request_ended:
            self._closing = True
        if client.full and self._connection is not None:
            self._connection.pause_reading()
        if self._events:
            self._splice = splice_into_events(head, self._chunks_to_client)
        elif head.chunked and not self._chunks_to_client:
            head.without(b"transfer-encoding")
            head.without(b"trailer")
            self._splice = PlainSplice()
        if self._splice is not None:
            self.state = ANSWERING
            if not self._events:
                client.write(head.to_bytes(self._closing))
            self._relay(data[start:])
            return
        size = len(data) - start
        try:
            used = framing.feed(data[start:]) if size else 0
        except BodyError as error:
            self._fail(502, f"the model's answer: {error}")
            return
        self.state = ANSWERING
        if used == size and head.untouched and not self._closing:
            client.write(data)
        else:
            client.write(head.to_bytes(self._closing) + data[start : start + used])
        if framing.ended:
            self._complete(clean=used == size)

    def _relay(self, data: bytes) -> None:
        """Pass on a part of the answer's body."""
        framing = self._answer_body
        assert framing is not None
        splice = self._splice
        sink: list[bytes] | None = None if splice is None else []
        try:
            used = framing.feed(data, sink)
        except BodyError:
            self._fail(502, "")
            return
        size = len(data)
        if splice is None:
            self.client.write(data if used == size else data[:used])
        elif sink:
            self.client.write(splice.parts(sink))
        if framing.ended:
            self._complete(clean=used == size)

    def _begin_tunnel(self, head: ResponseHead, data: bytes) -> None:
        if not self.head.is_upgrade or self._events:
            self._fail(502, "the model's server changed protocols unasked")
            return
        self.state = TUNNEL
        client = self.client
        client.write(head.to_bytes(closing=False) + data)
        ahead = client.take_ahead()
        if ahead:
            self.receive_body(ahead)

    # How it ends

    def _complete(self, *, clean: bool) -> None:
        """The answer is whole. `clean`: the connection has nothing beyond it and may serve again."""
        if self._splice is not None:
            self.client.write(self._splice.end())
        response = self._response
        keep = (
            clean
            and self.request_ended
            and response is not None
            and not response.closes
            and self.head.version == b"HTTP/1.1"
        )
        self._end(Outcome.COMPLETED, keep)
        self.client.finish(closing=self._closing, linger=not self.request_ended)

    def _fail(self, status: int, why: str) -> None:
        """It cannot be finished: answer if the client has no byte of an answer yet, otherwise cut its connection."""
        if self.state is DONE:
            return
        state = self.state
        splice = self._splice
        self._end(Outcome.FAILED, keep=False)
        if state is TUNNEL:
            self.client.cut(framed=False)
        elif state is ANSWERING and not isinstance(splice, ErrorSplice):
            raw = splice is None and not isinstance(self._answer_body, UntilCloseBody)
            self.client.cut(framed=raw or isinstance(splice, ChunkSplice))
        else:
            self._answer_locally(error_answer(status, why, close=status == 400))

    def _answer_locally(self, answer: Answer) -> None:
        """Write an answer of ours; the exchange is DONE."""
        client = self.client
        if self._events:
            event = error_event(answer.status, answer.body)
            client.write(chunk(event) + LAST_CHUNK if self._chunks_to_client else event)
            closing = answer.close or self.head.closes or not self.request_ended
        else:
            closing = answer.close or self.head.closes or client.server.draining or not self.request_ended
            client.write(answer_bytes(answer, for_head=self.head.method == b"HEAD", closing=closing))
        client.finish(closing=closing, linger=not self.request_ended)

    def _forget(self) -> None:
        """End it while it waits: there is no lease."""
        self.state = DONE
        self._held.clear()

    def _end(self, outcome: Outcome, keep: bool) -> None:
        """End it after it was forwarded: give back the connection, then the lease.

        In this order, because releasing the lease may forward the next request at once, and that shall find
        the connection in the pool.
        """
        self.state = DONE
        self._held.clear()
        if self._attempt is not None:
            self._attempt.exchange = None
            self._attempt = None
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.exchange = None
            if keep and self._upstream is not None:
                self._upstream.put(connection)
            else:
                connection.abort()
        self._release(outcome)

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
