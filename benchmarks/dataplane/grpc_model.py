"""The upstream for gRPC: as many messages as a call asks for, at once if it is one, or a millisecond apart.

It reads frames and no header block: what a call wants is the number in its message. It keeps just enough of HTTP/2's
rules for peers that keep them: no answer here comes near a window, and what it receives is credited.
"""

from __future__ import annotations

import asyncio
import struct
from functools import partial

from queue_proxy.http2 import frames
from queue_proxy.http2.hpack import encode

BETWEEN_MESSAGES = 0.001
MESSAGE = struct.Struct(">BLH")
"""A request's message: gRPC's prefix (not compressed; its length), and how many are wanted."""

_ANSWER = bytes(1) + (120).to_bytes(4, "big") + bytes(range(120))
_HEAD = encode(((b":status", b"200"), (b"content-type", b"application/grpc")))
_TRAILERS = encode(((b"grpc-status", b"0"),))
_CREDIT_AT = 32_768


def wanted(count: int) -> bytes:
    """The message that asks for `count` messages."""
    return MESSAGE.pack(0, MESSAGE.size - 5, count)


class GrpcModel(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: accepted, or handed over by who saw HTTP/2's preface."""
        self.transport = transport  # type: ignore[assignment]
        self._received = b""
        self._not_credited = 0
        self._asked: dict[int, bytes] = {}
        self.transport.write(frames.settings_frame({frames.MAX_CONCURRENT_STREAMS: 1_000}))

    def data_received(self, data: bytes) -> None:
        """asyncio: frames."""
        data = (self._received + data).removeprefix(frames.PREFACE)
        at = 0
        while len(data) >= at + frames.HEAD_BYTES:
            end = at + frames.HEAD_BYTES + int.from_bytes(data[at : at + 3], "big")
            if len(data) < end:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            self._frame(data[at + 3], data[at + 4], stream, data[at + frames.HEAD_BYTES : end])
            at = end
        self._received = data[at:]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            self._asked[stream] = b""
        elif kind == frames.DATA:
            self._not_credited += len(payload)
            if self._not_credited >= _CREDIT_AT:
                self._write(frames.window_update_frame(0, self._not_credited))
                self._not_credited = 0
            if stream in self._asked:
                self._asked[stream] += payload
                if flags & frames.END_STREAM:
                    self._begin(stream, MESSAGE.unpack(self._asked[stream])[2])
        elif kind == frames.RST_STREAM:
            self._asked.pop(stream, None)
        elif kind in (frames.SETTINGS, frames.PING) and not flags & frames.ACK:
            self._write(frames.frame(kind, frames.ACK, 0, payload if kind == frames.PING else b""))

    def _begin(self, stream: int, count: int) -> None:
        head = frames.headers_frames(stream, _HEAD, ended=False)
        if count == 1:
            self._send(stream, 1, head)
            return
        self._write(head)
        asyncio.get_running_loop().call_later(BETWEEN_MESSAGES, self._send, stream, count)

    def _send(self, stream: int, left: int, before: bytes = b"") -> None:
        if stream not in self._asked:
            return
        data = before + frames.frame(frames.DATA, 0, stream, _ANSWER)
        if left == 1:
            del self._asked[stream]
            data += frames.headers_frames(stream, _TRAILERS, ended=True)
        else:
            asyncio.get_running_loop().call_later(BETWEEN_MESSAGES, partial(self._send, stream, left - 1))
        self._write(data)

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)
