"""A connection of the core that remembers what it was told, and the frames that it has sent."""

from __future__ import annotations

from queue_proxy.http2 import frames
from queue_proxy.http2.connection import Connection
from queue_proxy.http2.frames import ErrorCode, Frame, FrameReader, Http2Error, StreamError
from queue_proxy.http2.hpack import HeaderList, encode
from queue_proxy.http2.hpack_table import Pair
from queue_proxy.http2.limits import Http2Limits
from queue_proxy.http2.stream import Stream

SETTINGS = frames.settings_frame({})
HELLO = frames.PREFACE + SETTINGS

GET: tuple[Pair, ...] = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"model"),
)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Recorder(Connection[str, HeaderList]):
    """Remembers events as tuples; credits data at once unless told otherwise."""

    def __init__(self, limits: Http2Limits | None = None, *, server: bool = True, credits_data: bool = True) -> None:
        self.events: list[tuple[object, ...]] = []
        self.clock = Clock()
        self.credits_data = credits_data
        self.closed: list[int] = []
        self.reads = 0
        super().__init__(limits or Http2Limits(), self.clock, serves=server)
        self.greeting = self.take_out()

    def read_block(self, read: HeaderList) -> HeaderList:
        self.reads += 1
        return read

    def wake(self) -> None:
        pass

    def headers_received_on(self, stream: Stream[str], head: HeaderList, ended: bool) -> None:
        self.events.append(("headers", stream.id, tuple(head.pairs), ended))

    def data_received_on(self, stream: Stream[str], data: bytes, ended: bool) -> None:
        self.events.append(("data", stream.id, data, ended))
        if self.credits_data:
            self.credit(stream, len(data))

    def stream_was_reset(self, stream: Stream[str], code: int) -> None:
        self.events.append(("reset", stream.id, code))

    def stream_failed(self, stream: Stream[str], fault: StreamError) -> None:
        self.events.append(("failed", stream.id, fault.code))

    def connection_failed(self, fault: Http2Error) -> None:
        self.events.append(("gone", fault.code))

    def sent(self, stream: Stream[str], size: int) -> None:
        self.events.append(("sent", stream.id, size))

    def stream_closed(self, stream: Stream[str]) -> None:
        self.closed.append(stream.id)

    def peer_goes_away(self, last_stream: int, code: int, why: str) -> None:
        self.events.append(("goaway", last_stream, code, why))

    def ponged(self, payload: bytes) -> None:
        self.events.append(("pong", payload))

    def said(self) -> list[Frame]:
        """The frames that were sent since the last time."""
        return FrameReader(most_bytes=2**24).feed(self.take_out())

    def complaint(self) -> tuple[str, ErrorCode] | None:
        """How it has complained: ("stream" or "connection", code)."""
        for kind, _, _, payload in self.said():
            if kind == frames.RST_STREAM:
                return "stream", ErrorCode(int.from_bytes(payload, "big"))
            if kind == frames.GOAWAY:
                return "connection", ErrorCode(int.from_bytes(payload[4:8], "big"))
        return None


def greeted(limits: Http2Limits | None = None, *, credits_data: bool = True) -> Recorder:
    """A server whose client has said hello."""
    server = Recorder(limits, credits_data=credits_data)
    server.receive(HELLO)
    server.take_out()
    return server


def request(number: int, *, ended: bool = True, pairs: tuple[Pair, ...] = GET) -> bytes:
    return frames.headers_frames(number, encode(pairs), ended=ended)


def data(number: int, payload: bytes, *, ended: bool = False) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if ended else 0, number, payload)
