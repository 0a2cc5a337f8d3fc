"""Transports and a dispatcher that a test drives by hand, so that every interleaving can be tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queue_proxy.http import Exchange, Outcome, Upstream
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.http.upstream import Attempt
from queue_proxy.http.upstream_connection import UpstreamConnection


class FakeTransport(asyncio.Transport):
    """Remembers what was written; raises, as uvloop's does, when it is used after its end."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.closing = False
        self.lost = False
        self.aborted = False
        self.eof_written = False
        self.paused = False
        self.peer_ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written to a closed transport"
        assert not self.eof_written, "written after the end of our side"
        self.written += bytes(data)

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        assert not self.closing
        self.eof_written = True

    def pause_reading(self) -> None:
        assert not self.closing
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert not self.closing
        assert self.paused
        self.paused = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def receive(self, data: bytes) -> None:
        """Bytes from the other side, unless this end no longer reads."""
        if not self.closing and not self.paused and not self.peer_ended:
            self.protocol.data_received(data)

    def receive_eof(self) -> None:
        if self.closing or self.paused or self.peer_ended:
            return
        self.peer_ended = True
        if not self.protocol.eof_received():
            self.closing = True

    def lose(self, exc: Exception | None = None) -> None:
        """The connection is gone; told once."""
        if not self.lost:
            self.lost = self.closing = True
            self.protocol.connection_lost(exc)


class FakeLease:
    """Remembers how it was released."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def release(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class FakeUpstream(Upstream):
    """Its connection attempts end when the test says so."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__("model", 8080, clock=clock)
        self.attempts: list[Attempt] = []
        self.transports: list[FakeTransport] = []

    def dial(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def connect_next(self) -> FakeTransport:
        connection = UpstreamConnection()
        transport = FakeTransport(connection)
        connection.connection_made(transport)
        self.transports.append(transport)
        self.settle(self.attempts.pop(0), connection)
        return transport

    def refuse_next(self) -> None:
        self.settle(self.attempts.pop(0), "Connection refused")


class FakeDispatcher:
    """Does nothing by itself; remembers what it was told."""

    def __init__(self) -> None:
        self.waiting: list[Exchange] = []
        self.arrived: list[Http1Exchange] = []
        self.left: list[Exchange] = []
        self.leases: list[FakeLease] = []

    def arrive(self, exchange: Exchange) -> None:
        assert isinstance(exchange, Http1Exchange)
        self.arrived.append(exchange)
        self.waiting.append(exchange)

    def abandoned(self, exchange: Exchange) -> None:
        self.left.append(exchange)
        self.waiting.remove(exchange)

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        self.waiting.append(exchange)

    def forward_next(self, upstream: Upstream) -> FakeLease:
        lease = FakeLease()
        self.leases.append(lease)
        self.waiting.pop(0).forward(upstream, lease)
        return lease


def connect(server: Callable[[], asyncio.Protocol]) -> FakeTransport:
    """A new client of `server`."""
    protocol = server()
    transport = FakeTransport(protocol)
    protocol.connection_made(transport)
    return transport
