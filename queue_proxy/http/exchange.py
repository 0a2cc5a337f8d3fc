"""Http1Exchange: one request of a connection, and its answer.

What can happen to it is an event with a method of its own: its client sends, leaves, or takes no more; its upstream
connects, answers, dies, or takes no more. What follows from an answer is in `queue_proxy.http.answering`, and what it
has in common with a stream in `queue_proxy.http.lease_holder`.
"""

from __future__ import annotations

import asyncio

from queue_proxy.http.answering import Answering
from queue_proxy.http.answers import chunk, comment, error_answer, events_head
from queue_proxy.http.body import BodyFraming, ChunkedBody, LengthBody
from queue_proxy.http.client_side import Http1Client
from queue_proxy.http.contract import Outcome
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.head import RequestHead
from queue_proxy.http.lease_holder import CONNECTING, DONE, SECONDS_PER_BYTE, SENT, TUNNEL, WAITING
from queue_proxy.http.transports import close_quietly
from queue_proxy.http.upstream import Upstream
from queue_proxy.http.upstream_connection import UpstreamConnection


class Http1Exchange(Answering):
    """One request and its answer on a connection of HTTP/1."""

    _request_body: BodyFraming | None = None
    _half_closed: bool = False

    def __init__(self, head: RequestHead, client: Http1Client, now: float) -> None:
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

    def hand_over(self, protocol: asyncio.Protocol, first: bytes) -> None:
        """Finish it by giving the client's connection to `protocol`, after `first`: a whole answer's head, for a client
        that asked for the upgrade. Nothing happens if its client has left.

        Raises RuntimeError when it was forwarded.
        """
        if self._still_waits("hand_over"):
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
        line = comment(text)
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
            self._expect_body(len(data) * SECONDS_PER_BYTE)
        else:
            self._hold(data)
        return rest

    def request_broken(self, why: str) -> None:
        """The request's body does not keep to its framing."""
        if self.state is WAITING:
            self._leave_line()
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
        self._end(Outcome.COMPLETED)
        self.client.finish(closing=True, linger=False)
        return True

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

    # How it goes on

    def _start(self, upstream: Upstream, now: float) -> None:
        connection = upstream.take(now)
        if connection is None:
            self.state = CONNECTING
            self._attempt = upstream.connect(self)
        else:
            self._send(connection)

    def unreachable(self, why: str) -> None:
        """See LeaseHolder."""
        self._attempt = None
        super().unreachable(why)

    def _is_upstreams_turn(self) -> bool:
        return self.client.is_blocked

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
