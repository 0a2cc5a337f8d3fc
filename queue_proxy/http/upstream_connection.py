"""One connection of HTTP/1 to an endpoint, and what it tells who uses it."""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

from queue_proxy.http.transports import spare_congestion_control
from queue_proxy.lost_machine import OF_A_REPLICA, end_when_lost


class Sender(Protocol):
    """Who sends a request on a connection and takes its answer: an exchange, or who stands in for one."""

    def connected(self, connection: UpstreamConnection) -> None:
        """The connection that was asked for is there."""
        ...

    def unreachable(self, why: str) -> None:
        """There is none; not one byte was sent."""
        ...

    def receive_answer(self, data: bytes) -> None:
        """Bytes from the upstream."""
        ...

    def upstream_ended(self) -> bool:
        """The upstream has said its last word. True when its connection shall stay open for the other direction."""
        ...

    def upstream_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        ...

    def upstream_full(self) -> None:
        """The upstream takes no more for now."""
        ...

    def upstream_drained(self) -> None:
        """The upstream takes more."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """One connection to an endpoint. It serves one exchange at a time, or stands in the pool."""

    __slots__ = ("alive", "exchange", "full", "idle_since", "paused", "transport")

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.exchange: Sender | None = None
        self.alive = False
        self.full = False
        self.idle_since = 0.0
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        end_when_lost(transport.get_extra_info("socket"), OF_A_REPLICA)
        spare_congestion_control(transport)
        self.transport = transport  # type: ignore[assignment]
        self.alive = True

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of an answer; on an idle connection nothing may come, so that one is given up."""
        exchange = self.exchange
        if exchange is None:
            self.abort()
        else:
            exchange.receive_answer(data)

    def eof_received(self) -> bool:
        """asyncio: the upstream has said its last word."""
        exchange = self.exchange
        if exchange is not None and exchange.upstream_ended():
            return True
        self.alive = False
        if exchange is not None:
            self.exchange = None
            exchange.upstream_lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self.alive = False
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.upstream_lost(exc)

    def pause_writing(self) -> None:
        """asyncio: the upstream takes no more for now."""
        self.full = True
        if self.exchange is not None:
            self.exchange.upstream_full()

    def resume_writing(self) -> None:
        """asyncio: the upstream takes more."""
        self.full = False
        if self.exchange is not None:
            self.exchange.upstream_drained()

    def write(self, data: bytes) -> None:
        """Send to the upstream. A transport that is closing is not written to: uvloop's would raise."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def pause_reading(self) -> None:
        """Take no more of the answer, because its client does not."""
        if not self.paused and self.alive and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more again."""
        if self.paused:
            self.paused = False
            if self.alive and not self.transport.is_closing():
                self.transport.resume_reading()

    def is_quiet(self) -> bool:
        """Whether nothing has come while it was idle: neither a close, nor bytes that nobody asked for."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it after what is written has been sent. Its exchange, if it has one, is not told."""
        self.exchange = None
        self.alive = False
        self.transport.close()

    def abort(self) -> None:
        """Cut it. Its exchange, if it has one, is not told."""
        self.exchange = None
        if self.alive:
            self.alive = False
            self.transport.abort()
