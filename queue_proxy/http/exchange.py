"""Exchange: one request and its answer, and the one owner of the slot that it takes at an upstream.

What can happen to an exchange is an event with a method of its own: its client sends, leaves, or takes no more;
its upstream connects, refuses, answers, dies, or takes no more; a deadline passes. What follows from an answer
is in `queue_proxy.http.answering`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from queue_proxy.http.answering import ANSWERING, CONNECTING, DONE, SENT, TUNNEL, WAITING, Answering
from queue_proxy.http.answers import chunk, error_answer, events_head
from queue_proxy.http.body import BodyFraming, ChunkedBody, LengthBody
from queue_proxy.http.contract import Answer, Lease, Outcome
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.head import RequestHead
from queue_proxy.http.transports import close_quietly
from queue_proxy.http.upstream import Upstream, UpstreamConnection

if TYPE_CHECKING:
    from queue_proxy.http.client import ClientConnection

_SECONDS_PER_BYTE = 0.002
"""What a byte of a body buys its client: 500 bytes a second are slower than any client that means well."""

log = logging.getLogger(__name__)


class Exchange(Answering):
    """One request and its answer.

    head        the request's head
    arrived_at  when the head was whole, by the server's clock
    answered_at when the head of the upstream's answer was passed on; None before
    clock_from  from when timeouts count; set to `arrived_at`, a dispatcher may move it before it forwards
    buffered    bytes of the request's body that are held in memory now
    context     free for the dispatcher; None again once the exchange is done, so that two objects that know each
                other do not have to wait for the garbage collector
    """

    _request_body: BodyFraming | None = None
    _half_closed: bool = False
    _body_due: float = NEVER

    def __init__(self, head: RequestHead, client: ClientConnection, now: float) -> None:
        self.head = head
        self.client = client
        self.arrived_at = now
        self.clock_from = now
        if head.chunked:
            self._request_body = ChunkedBody(client.limits.trailer_bytes)
            self.request_ended = False
        elif head.content_length:
            self._request_body = LengthBody(head.content_length)
            self.request_ended = False

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
        client = self.client
        now = self._heard_at = client.clock()
        connection = upstream.take(now)
        if connection is None:
            self.state = CONNECTING
            self._attempt = upstream.connect(self)
        else:
            self._send(connection)
        server = client.server
        if server.timed:
            due = self.clock_from + server.shortest_timeout
            if due < client.looked_at_by:
                client.look_at(due)

    def answer(self, answer: Answer) -> None:
        """Finish it with an answer of our own. Nothing happens if its client has left.

        Raises RuntimeError when it was forwarded.
        """
        if self.state is DONE:
            return
        if self.state is not WAITING:
            raise RuntimeError(f"answer() on an exchange that is {self.state.value}")
        self._forget()
        self.context = None
        self._answer_locally(answer)

    def hand_over(self, protocol: asyncio.Protocol, first: bytes) -> None:
        """Finish it by giving the client's connection to `protocol`, after `first`: a whole answer's head, for a client
        that asked for the upgrade. Nothing happens if its client has left.

        Raises RuntimeError when it was forwarded.
        """
        if self.state is DONE:
            return
        if self.state is not WAITING:
            raise RuntimeError(f"hand_over() on an exchange that is {self.state.value}")
        self._forget()
        self.context = None
        self.client.hand_over(protocol, first)

    def begin_events(self) -> None:
        """Start a 200 text/event-stream while the exchange waits, so that `comment` can keep its client patient.

        A later `forward()` splices the upstream's events in; an answer that is no event stream becomes one
        `error` event. Does nothing on a HEAD or an upgrade request, or when it has begun.
        """
        if self.state is not WAITING or self._events or self.head.method == b"HEAD" or self.head.is_upgrade:
            return
        self._events = True
        self.drop_lines(b"accept-encoding")
        self.client.write(events_head(self._chunks_to_client))

    def comment(self, text: bytes) -> None:
        """Send one comment line, `: text`. Does nothing unless `begin_events` has begun and no answer is there."""
        if not self._events or self.state not in (WAITING, CONNECTING, SENT) or self.client.full:
            return
        line = b": %b\n\n" % text.replace(b"\r", b" ").replace(b"\n", b" ")
        self.client.write(chunk(line) if self._chunks_to_client else line)

    # What its client does

    def receive_body(self, data: bytes) -> bytes:
        """Take bytes that follow the head; returns those that do not belong to this exchange. Raises BodyError."""
        connection = self._connection
        if self.state is TUNNEL:
            if connection is not None:
                self._hear()
                connection.write(data)
            return b""
        framing = self._request_body
        if framing is None or self.request_ended:
            return data
        used = framing.feed(data)
        rest = b""
        if used < len(data):
            data, rest = data[:used], data[used:]
        self.request_ended = framing.ended
        if connection is not None:
            self._hear()
            connection.write(data)
            self._expect_body(len(data) * _SECONDS_PER_BYTE)
        else:
            self._hold(data)
        return rest

    def request_broken(self, why: str) -> None:
        """The request's body does not keep to its framing."""
        if self.state is WAITING:
            self._forget()
            self.client.server.dispatcher.abandoned(self)
            self.context = None
            self._answer_locally(error_answer(400, why, close=True))
        else:
            self._fail(400, why)

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

    def client_left(self) -> None:
        """The client is gone."""
        state = self.state
        if state is DONE:
            return
        if state is WAITING:
            self._forget()
            self.client.server.dispatcher.abandoned(self)
            self.context = None
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

    # What its upstream does; `receive_answer` is in Answering

    def connected(self, connection: UpstreamConnection) -> None:
        """The connection that was asked for is there."""
        self._attempt = None
        self._send(connection)

    def unreachable(self, why: str) -> None:
        """Not one byte reached a model, for want of a connection here or there. The dispatcher has it again."""
        upstream = self._upstream
        assert upstream is not None
        self._attempt = None
        self._upstream = None
        self.state = WAITING
        self._release(Outcome.UNSENT)
        try:
            self.client.server.dispatcher.unreachable(self, upstream, why)
        except Exception:
            log.exception("a request whose upstream is unreachable could not be dispatched again")
            if self.state is WAITING:
                self.answer(error_answer(502, f"no connection to the model: {why}"))

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
        self._upstream_died(exc)

    def upstream_full(self) -> None:
        """The upstream takes no more of the request for now."""
        self.client.block(self.client.UPSTREAM_FULL)

    def upstream_drained(self) -> None:
        """The upstream takes more."""
        self.client.unblock(self.client.UPSTREAM_FULL)
        self._expect_body(NEVER)

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
        return min(due, self._body_due_now())

    def expire(self, now: float) -> float:
        """Fail if a timeout has passed; returns when to look again."""
        due = self.due()
        if due > now:
            return due
        if self._body_due_now() <= now:
            self.client.server.slow_bodies_total += 1
            self._fail(408, "the request's body did not arrive in time")
        else:
            self._fail(504, "the model did not answer in time")
        return NEVER

    # How it goes on

    def _hear(self) -> None:
        if self.client.server.timed_idle:
            self._heard_at = self.client.clock()

    def _expect_body(self, seconds: float) -> None:
        """Give the client `seconds` more for what is missing of its body, up to the bound."""
        most = self.client.limits.body_seconds
        if self.request_ended or not most:
            return
        latest = self.client.clock() + most
        first = self._body_due == NEVER
        self._body_due = min(self._body_due + seconds, latest)
        if first:
            self.client.look_at(latest)

    def _body_due_now(self) -> float:
        """When the client must have sent more; NEVER when it is not its turn."""
        if self.state is not SENT or self.request_ended or self.client.is_blocked:
            return NEVER
        return self._body_due

    def _hold(self, data: bytes) -> None:
        """Keep a part of the body until there is a connection for it, within bounds."""
        if self._held is None:
            # In one piece: sent byte by byte, a list of its parts would take forty times its size.
            self._held = bytearray()
        self._held += data
        self.buffered += len(data)
        if self.buffered >= self.client.limits.waiting_bytes and not self.request_ended:
            self.client.block(self.client.BODY_HELD)

    def _send(self, connection: UpstreamConnection) -> None:
        """Write the head and what is there of the body, at once and in one piece."""
        self._connection = connection
        connection.exchange = self
        self.state = SENT
        if not self.request_ended:
            self._expect_body(0.0)
        held = self._held
        if held is None:
            connection.write(self.head.to_bytes())
            return
        connection.write(b"".join((self.head.to_bytes(), held)))
        if self.request_ended and self.client.server.takes_back:
            self._kept = held
        self._held = None
        self.buffered = 0
        self.client.unblock(self.client.BODY_HELD)

    def _forget(self) -> None:
        """End it while it waits: there is no lease."""
        self.state = DONE
        self._held = None
