"""The client side: one connection, the heads that arrive on it, and the exchange that runs on it.

Exchanges of one connection run one after the other; what a client sends ahead waits, within bounds.
"""

from __future__ import annotations

import asyncio
import logging

from queue_proxy.http.answers import answer_bytes, error_answer
from queue_proxy.http.body import BodyError
from queue_proxy.http.client_flow import ClientFlow
from queue_proxy.http.connections import Connections
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.http.head import REQUEST_FIELDS, RequestHead, check_beginning, parse_request
from queue_proxy.http.lease_holder import DONE
from queue_proxy.http.lines import HeadError
from queue_proxy.http.read_ahead import USUAL_HEAD_BYTES
from queue_proxy.http.transports import end_if_quiet, peer_has_closed

log = logging.getLogger(__name__)

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
_REQUESTS_PER_TURN = 32


class ClientConnection(ClientFlow):
    """One client's connection."""

    __slots__ = ("_fresh", "_head_since", "_idle_since", "_serving")

    exchange_class = Http1Exchange

    def __init__(self, server: Connections) -> None:
        super().__init__(server)
        self._serving = False
        self._fresh = True
        self._idle_since = 0.0
        self._head_since: float | None = None

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: accepted."""
        self.transport = transport  # type: ignore[assignment]
        self._idle_since = self.clock()
        self.server.opened(self)
        self.look_at(self._idle_since + min(self.limits.head_seconds, self.limits.idle_seconds))
        if self.server.draining:
            self.look_at(self._idle_until())

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the client."""
        exchange = self.exchange
        if exchange is None:
            if self._lingers_until is None:
                if self.full:
                    self._keep_ahead(data)
                else:
                    self._serve(self._ahead + data if self._ahead else data)
            return
        try:
            rest = exchange.receive_body(data)
        except BodyError as error:
            self.server.malformed_total += 1
            exchange.request_broken(f"request body: {error}")
            return
        if rest:
            self._keep_ahead(rest)

    def eof_received(self) -> bool:
        """asyncio: the client has closed its side; unless in a tunnel that means that it has left."""
        exchange = self.exchange
        if exchange is None:
            return False
        if exchange.client_ended():
            return True
        self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._lingers_until = NEVER
        self._drop_ahead()
        exchange = self.exchange
        self.exchange = None
        self.server.closed(self)
        if exchange is not None:
            exchange.client_left()

    def pause_writing(self) -> None:
        """asyncio: the client takes no more for now."""
        self.full = True
        if self.exchange is not None:
            self.exchange.client_full()

    def resume_writing(self) -> None:
        """asyncio: the client takes more."""
        self.full = False
        if self.exchange is not None:
            self.exchange.client_drained()
        elif self._ahead and self._lingers_until is None and not self._serving:
            self._serve(self.take_ahead())

    # For its exchange

    def finish(self, *, closing: bool, linger: bool) -> None:
        """The exchange has ended and its answer is written. `linger`: the client may still be sending."""
        self.exchange = None
        self._idle_since = self.clock()
        if self._blocked:
            self.unblock(self.BODY_HELD | self.UPSTREAM_FULL)
        if closing:
            self._close(linger=linger or bool(self._ahead) or bool(self._blocked))
        elif self.server.draining and not self._ahead:
            # The answer had begun before the drain and did not say that it is the last: its client may send more.
            self.begin_drain()
        elif self._ahead and not self._serving and not self.full:
            self._serve(self.take_ahead())

    def begin_drain(self) -> None:
        """The server drains: close this connection once it has been idle for as long as that has patience."""
        if self.is_idle():
            self._end_idleness(self.clock())

    # Deadlines

    def _expire(self, now: float) -> float:
        if self._lingers_until is not None:
            if now < self._lingers_until:
                return self._lingers_until
            self.transport.abort()
            return NEVER
        exchange = self.exchange
        if exchange is not None:
            if self._blocked and exchange.state is not DONE:
                if peer_has_closed(self.transport):
                    self.abandon()
                    return NEVER
                return min(now + 1.0, exchange.expire(now))
            return min(exchange.expire(now), now + self.limits.head_seconds)
        if self._head_since is not None:
            if now < self._head_since + self.limits.head_seconds:
                return self._head_since + self.limits.head_seconds
            self.server.slow_heads_total += 1
            self._refuse(408, "the request's head did not arrive in time")
            return NEVER
        return self._end_idleness(now)

    def _idle_until(self) -> float:
        until = self._idle_since + self.limits.idle_seconds
        server = self.server
        if server.draining:
            until = min(until, max(self._idle_since, server.drain_began) + server.drain_patience)
        return until

    def _end_idleness(self, now: float) -> float:
        """Close an idle connection if it is time to; returns when to look again."""
        until = self._idle_until()
        if now < until:
            self.look_at(until)
            return until
        if not end_if_quiet(self.transport):
            # The next request is here and only waits to be read: closed now, its client would never know of it.
            self.look_at(now)
            return now
        if self.server.draining:
            self._close(linger=False)
        else:
            self.transport.abort()
        return NEVER

    def _is_occupied(self) -> bool:
        """Whether the next request has to wait."""
        return self.exchange is not None or self._lingers_until is not None or self.full

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.exchange is None and not self._ahead and self._lingers_until is None

    # Heads

    def _serve(self, data: bytes) -> None:
        """Take the heads in `data`, one after the other, as long as each exchange ends at once; but only so many in
        one turn of the loop, so that a client that sends thousands ahead does not keep all others waiting."""
        self._serving = True
        turn = _REQUESTS_PER_TURN
        server = self.server
        known = REQUEST_FIELDS.messages.get
        while data:
            # Most messages are a head that was there before, without a body: one look tells all of it.
            head = known(data) if len(data) <= server.remembered_bytes else None
            rest = b""
            if head is None or head.line_count > self.limits.header_lines + 1:
                read = self._read_head(data)
                if read is None:
                    break
                head, rest = read
            self._fresh = False
            if self._head_since is not None:
                self._head_since = None
                self._drop_ahead()
            exchange = self.exchange = self.exchange_class(head, self, self.clock())
            try:
                self._ahead = exchange.receive_body(rest) if rest else rest
            except BodyError as error:
                self._refuse(400, f"request body: {error}")
                break
            try:
                server.dispatcher.arrive(exchange)
            except Exception:
                log.exception("a request could not be dispatched")
                self.abandon()
            if self._is_occupied():
                if self._ahead:
                    self._bound_ahead()
                break
            turn -= 1
            if not turn and self._ahead:
                self.block(self.TURN)
                asyncio.get_running_loop().call_soon(self._next_turn)
                self._bound_ahead()
                break
            data = self.take_ahead()
        self._serving = False

    def _read_head(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """A head and what follows it; None: there is none yet, or none that is accepted, and that is dealt with."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self.limits.head_bytes:
            self._receive_part_of_head(data)
            return None
        # One empty line before a request is forgiven, as RFC 9112 asks: old clients send it.
        start = 2 if end > 0 and data.startswith(b"\r\n") else 0
        try:
            head = parse_request(data[start:end], self.limits.header_lines)
        except HeadError as error:
            http2 = self.server.http2
            if self._fresh and http2 is not None and data.startswith(_HTTP2_PREFACE):
                # It speaks HTTP/2 from the first byte on.
                protocol = http2(self.server)
                self._give_transport_to(protocol)
                protocol.data_received(data)
            else:
                self._refuse(error.status, error.why)
            return None
        return head, data[end + 4 :]

    def _next_turn(self) -> None:
        """Go on with what the last turn has left."""
        self.unblock(self.TURN)
        if self._ahead and not self._is_occupied() and not self.transport.is_closing():
            self._serve(self.take_ahead())

    def hand_over(self, protocol: asyncio.Protocol, first: bytes) -> None:
        """Send `first` and give the transport to another protocol; this one ends. What the client sent beyond its
        request is thrown away: it had to wait for the answer."""
        self.exchange = None
        self.write(first)
        self._give_transport_to(protocol)

    def _give_transport_to(self, protocol: asyncio.Protocol) -> None:
        """The transport gets another protocol, and this one ends."""
        self._lingers_until = NEVER
        self._drop_ahead()
        self.unblock(self._blocked)
        self.server.closed(self)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)

    def _receive_part_of_head(self, data: bytes) -> None:
        """Keep a head that is not whole yet, unless it can be seen already that it will not be accepted."""
        if len(data) > self.limits.head_bytes:
            self._refuse(431, f"the head is longer than {self.limits.head_bytes} bytes")
            return
        try:
            check_beginning(data, len(self._ahead))
        except HeadError as error:
            self._refuse(error.status, error.why)
            return
        if len(data) > USUAL_HEAD_BYTES and not self._count(len(data)):
            self._refuse(503, "too many requests with long heads are under way")
            return
        self._ahead = data
        if self._head_since is None:
            self._head_since = self.clock()
            self.look_at(self._head_since + self.limits.head_seconds)

    def _refuse(self, status: int, why: str) -> None:
        """Answer what is not a request that we accept, and end the connection."""
        if status == 431:
            self.server.oversize_total += 1
        elif status not in (408, 503):
            self.server.malformed_total += 1
        self.exchange = None
        self._drop_ahead()
        self.write(answer_bytes(error_answer(status, why), for_head=False, closing=True))
        self._close(linger=True)
