"""A server's connection on a transport that a test drives, with a dispatcher and an upstream that it drives too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from queue_proxy.http import Exchange, HttpLimits, HttpServer, Outcome, Timeouts, Upstream
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import Frame, FrameReader
from queue_proxy.http2.hpack import Decoder, encode
from queue_proxy.http2.hpack_table import Pair
from queue_proxy.http2.pool import StreamPool, UpstreamConnection
from queue_proxy.http2.server_connection import ServerConnection
from tests.unit.http2.http2_core import HELLO, SETTINGS, Clock
from tests.unit.http_engine.http_fakes import FakeLease, FakeTransport


class Peer:
    """The other end of a connection of ours: reads what we sent."""

    def __init__(self, protocol: asyncio.Protocol, preface: bytes = b"") -> None:
        self.transport = FakeTransport(protocol)
        self._reader = FrameReader(preface, most_bytes=2**24)
        self._decoder = Decoder(2**20, 10_000)
        protocol.connection_made(self.transport)

    def say(self, raw: bytes) -> None:
        self.transport.receive(raw)

    async def heard(self) -> list[Frame]:
        """The frames that were sent since the last time."""
        for _ in range(3):
            await asyncio.sleep(0)
        raw, self.transport.written = self.transport.written, b""
        return self._reader.feed(raw)

    def read(self, block: bytes) -> dict[bytes, bytes]:
        return dict(self._decoder.decode(block).pairs)


class StreamUpstream(Upstream):
    """Its connections are made when the test says so."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("model", 8080, clock=clock)
        self.pool = FakePool(self)
        self.streams = self.pool


class FakePool(StreamPool):
    """Dials only in the test's words."""

    dials = 0

    def _dial_if_needed(self) -> None:
        if self._waiting and not self.dials:
            self.dials = 1

    def connect(self) -> Peer:
        """The dial has succeeded."""
        self.dials = 0
        connection = UpstreamConnection(self)
        peer = Peer(connection, frames.PREFACE)
        self.connections[connection] = None
        self.room_is_made(connection)
        return peer

    def refuse(self) -> None:
        """The dial has failed."""
        self.dials = 0
        self._fail("Connection refused")


class Deciding:
    """A dispatcher that leaves everything to the test."""

    def __init__(self) -> None:
        self.waiting: list[Exchange] = []
        self.arrived: list[Exchange] = []
        self.left: list[Exchange] = []
        self.unsent: list[str] = []

    def arrive(self, exchange: Exchange) -> None:
        self.arrived.append(exchange)
        self.waiting.append(exchange)

    def abandoned(self, exchange: Exchange) -> None:
        self.left.append(exchange)
        self.waiting.remove(exchange)

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        self.unsent.append(why)
        self.waiting.append(exchange)


class World:
    """One client's connection, and one upstream."""

    def __init__(self, limits: HttpLimits | None = None, timeouts: Timeouts | None = None) -> None:
        self.clock = Clock()
        self.dispatcher = Deciding()
        self.server = HttpServer(
            self.dispatcher, limits or HttpLimits(), timeouts or Timeouts(), self.clock, http2=ServerConnection
        )
        self.upstream = StreamUpstream(self.clock)
        self.leases: list[FakeLease] = []
        self.connection = ServerConnection(self.server)
        self.client = Peer(self.connection)
        self.client.say(HELLO)

    def forward(self) -> FakeLease:
        lease = FakeLease()
        self.leases.append(lease)
        self.dispatcher.waiting.pop(0).forward(self.upstream, lease)
        return lease

    def model(self) -> Peer:
        """The upstream's end of the connection that was asked for, greeted."""
        peer = self.upstream.pool.connect()
        peer.say(SETTINGS)
        return peer

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.server.deadlines.sweep(self.clock.now)

    def advance(self, seconds: float) -> None:
        """As `later`, with the server's looks in between."""
        for _ in range(round(seconds * 10)):
            self.later(0.1)

    def close(self) -> None:
        self.client.transport.lose()
        self.upstream.close()

    @property
    def outcomes(self) -> list[list[Outcome]]:
        return [lease.outcomes for lease in self.leases]


GRPC: tuple[Pair, ...] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
    (b":authority", b"model"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
)
OK = encode(((b":status", b"200"), (b"content-type", b"application/grpc")))
FINE = encode(((b"grpc-status", b"0"),))


@contextlib.contextmanager
def world(limits: HttpLimits | None = None, timeouts: Timeouts | None = None) -> Iterator[World]:
    made = World(limits, timeouts)
    yield made
    made.close()


def answer(stream: int, block: bytes = OK, *, ended: bool = False) -> bytes:
    return frames.headers_frames(stream, block, ended=ended)


def of_kind(said: list[Frame], kind: int) -> list[Frame]:
    return [one for one in said if one[0] == kind]
