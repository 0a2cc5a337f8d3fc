"""A closed loop of gRPC calls: each connection always has as many open as it was told.

    python -m benchmarks.dataplane.grpc_load PORT CONNECTIONS CALLS MESSAGES SECONDS

CALLS are open at once on each connection, and each asks for MESSAGES. Written as a gRPC client would write it: what
all calls have in common is sent once and then referred to by its index (RFC 7541), ids differ from call to call. It
decodes nothing, so that it costs little beside what it loads. Prints one line of JSON, in the shape of `wrk.Loaded`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field

import uvloop

from benchmarks.dataplane.grpc_model import wanted
from benchmarks.dataplane.summary import quantile
from benchmarks.dataplane.wrk import Loaded
from queue_proxy.http2 import frames

_CLOCK = time.perf_counter
_WINDOW = 1 << 30
_COMMON = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ModelStreamInfer"),
    (b":authority", b"example.default.svc.cluster.local:8012"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python/1.66.1 grpc-c/43.0.0 (linux; chttp2)"),
    (b"te", b"trailers"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
    (b"x-tenant", b"research"),
)
_FIRST_DYNAMIC_INDEX = 62
_PATIENCE_SECONDS = 30.0


def _text(value: bytes) -> bytes:
    """A string that is not compressed; all of ours are shorter than 127 bytes."""
    return bytes((len(value),)) + value


_INDEXING = b"".join(b"\x40" + _text(name) + _text(value) for name, value in _COMMON)
_INDEXED = bytes(0x80 | _FIRST_DYNAMIC_INDEX + len(_COMMON) - 1 - at for at in range(len(_COMMON)))


def block(number: int, *, first: bool) -> bytes:
    """The header block of a call; the `first` of a connection fills the peer's table for those that follow."""
    unique = (
        (b"grpc-timeout", b"%dm" % (29_000 + number % 1_000)),
        (b"x-request-id", b"0f6a1c1e-6b1d-4d0a-9a53-%012d" % (number * 7_919 % 10**12)),
        (b"traceparent", b"00-%032x-%016x-01" % (number * 7_919 + 1, number * 104_729 + 1)),
    )
    # Not indexed: what is said once would only push the rest out of the table.
    literals = b"".join(b"\x00" + _text(name) + _text(value) for name, value in unique)
    return (_INDEXING if first else _INDEXED) + literals


@dataclass
class _Tally:
    """What all connections have seen."""

    until: float = 0.0
    number: int = 0
    refused: int = 0
    broken: int = 0
    open: int = 0
    seconds: list[float] = field(default_factory=list)


class _Caller(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, tally: _Tally, calls: int, messages: int) -> None:
        self._tally = tally
        self._calls = calls
        self._message = wanted(messages)
        self._next_stream = 1
        self._began: dict[int, float] = {}
        self._answered: set[int] = set()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self.transport = transport  # type: ignore[assignment]
        settings = frames.settings_frame({frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: _WINDOW})
        self.transport.write(frames.PREFACE + settings + frames.window_update_frame(0, _WINDOW))
        self.transport.write(b"".join(self._call() for _ in range(self._calls)))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._tally.broken += len(self._began)
        self._tally.open -= len(self._began)
        self._began.clear()

    def data_received(self, data: bytes) -> None:
        """asyncio: frames."""
        data = self._received + data
        at, out = 0, []
        while len(data) >= at + frames.HEAD_BYTES:
            end = at + frames.HEAD_BYTES + int.from_bytes(data[at : at + 3], "big")
            if len(data) < end:
                break
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == frames.DATA and end - at > frames.HEAD_BYTES:
                self._answered.add(stream)
            if (kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM) or kind == frames.RST_STREAM:
                out.append(self._ended(stream, broken=kind == frames.RST_STREAM))
            elif kind in (frames.SETTINGS, frames.PING) and not flags & frames.ACK:
                pong = data[at + frames.HEAD_BYTES : end] if kind == frames.PING else b""
                out.append(frames.frame(kind, frames.ACK, 0, pong))
            at = end
        self._received = data[at:]
        if out and not self.transport.is_closing():
            self.transport.write(b"".join(out))

    def _call(self) -> bytes:
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        tally = self._tally
        tally.number += 1
        tally.open += 1
        self._began[stream] = _CLOCK()
        head = frames.headers_frames(stream, block(tally.number, first=stream == 1), ended=False)
        return head + frames.frame(frames.DATA, frames.END_STREAM, stream, self._message)

    def _ended(self, stream: int, *, broken: bool) -> bytes:
        began = self._began.pop(stream, None)
        if began is None:
            return b""
        tally, now = self._tally, _CLOCK()
        tally.open -= 1
        if broken:
            tally.broken += 1
        else:
            tally.refused += stream not in self._answered
            tally.seconds.append(now - began)
        self._answered.discard(stream)
        return self._call() if now < tally.until else b""


async def measure(port: int, connections: int, calls: int, messages: int, seconds: float) -> Loaded:
    """Run it, and wait for the last answers. Raises OSError when one stays out, or nobody takes the connection."""
    began = _CLOCK()
    tally = _Tally(until=began + seconds)
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: _Caller(tally, calls, messages), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    while tally.open or _CLOCK() < tally.until:
        if _CLOCK() > tally.until + _PATIENCE_SECONDS:
            raise TimeoutError(f"{tally.open} calls stayed without an end")
        await asyncio.sleep(0.01)
    took = _CLOCK() - began
    for transport in callers:
        transport.close()
    p50, p99 = (1e3 * quantile(tally.seconds, share) if tally.seconds else 0.0 for share in (0.50, 0.99))
    return Loaded(len(tally.seconds), took, tally.refused, tally.broken, p50, p99)


if __name__ == "__main__":
    port_text, connections_text, calls_text, messages_text, seconds_text = sys.argv[1:]
    try:
        loaded = uvloop.run(
            measure(int(port_text), int(connections_text), int(calls_text), int(messages_text), float(seconds_text))
        )
    except OSError as error:
        sys.exit(f"gRPC load: {error}")
    sys.stdout.write(json.dumps(asdict(loaded)) + "\n")
