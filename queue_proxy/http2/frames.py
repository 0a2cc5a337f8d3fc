"""Frames of HTTP/2 (RFC 9113 sections 4 and 6): from a stream of bytes, and back to bytes.

Strict in what only the frame's own head can show: its size, and whether it may stand on a stream or on the
connection. What frames mean in their order is `connection`'s.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first; no HTTP/1 request can start like this (RFC 9113 section 3.4)."""

HEAD_BYTES: Final = 9
DEFAULT_FRAME_BYTES: Final = 16_384
DEFAULT_WINDOW: Final = 65_535
MOST_WINDOW: Final = 2**31 - 1
MOST_STREAM: Final = 2**31 - 1

# Frame types are plain integers: they are compared millions of times, and members of an enum compare slower.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

_FIXED_SIZES: Final = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_ON_A_STREAM: Final = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})
_ON_THE_CONNECTION: Final = frozenset({SETTINGS, PING, GOAWAY})
_CHECKED: Final = frozenset(range(10)) - {DATA, HEADERS}

_HEAD = struct.Struct(">BHBBL")
_SETTING = struct.Struct(">HL")
_read_head = _HEAD.unpack_from
_write_head = _HEAD.pack

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Http2Error(Exception):
    """The peer broke a rule after which nothing on the connection can be trusted: GOAWAY with `code` and `why`."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class StreamError(Exception):
    """The peer broke a rule that concerns one stream only: RST_STREAM with `code`."""

    def __init__(self, stream: int, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.stream = stream
        self.code = code
        self.why = why


class FrameReader:
    """Cuts a stream of bytes into frames.

    `fault` is set when the bytes are not frames (any more): what stood before it has been returned, nothing
    behind it ever is. `preface` is what must come first; b"" on the client's side.
    """

    __slots__ = ("_most_bytes", "_partial", "_preface", "fault")

    def __init__(self, preface: bytes = b"", most_bytes: int = DEFAULT_FRAME_BYTES) -> None:
        self.fault: Http2Error | None = None
        self._partial = b""
        self._preface = preface
        self._most_bytes = most_bytes

    @property
    def waits(self) -> bool:
        """Whether a part of a frame (or of the preface) is there and its rest is not."""
        return bool(self._partial)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole with `data`."""
        frames: list[Frame] = []
        if self.fault is not None:
            return frames
        if self._partial:
            data = self._partial + data
        at = 0
        if self._preface:
            at = self._after_preface(data)
            if at == 0:
                return frames
        size = len(data)
        while size - at >= HEAD_BYTES:
            high, low, kind, flags, stream = _read_head(data, at)
            length = high << 16 | low
            stream &= MOST_STREAM
            if length > self._most_bytes or kind in _CHECKED or stream == 0:
                self.fault = self._what_is_wrong(kind, flags, stream, length)
                if self.fault is not None:
                    self._partial = b""
                    return frames
            end = at + HEAD_BYTES + length
            if end > size:
                break
            frames.append((kind, flags, stream, data[at + HEAD_BYTES : end]))
            at = end
        self._partial = data[at:]
        return frames

    def _after_preface(self, data: bytes) -> int:
        """Where the first frame begins; 0 while the preface is not whole or when it is wrong."""
        preface = self._preface
        if data.startswith(preface):
            self._preface = b""
            return len(preface)
        if preface.startswith(data):
            self._partial = data
        else:
            self._partial = b""
            self.fault = Http2Error(ErrorCode.PROTOCOL_ERROR, "the connection preface is wrong")
        return 0

    def _what_is_wrong(self, kind: int, flags: int, stream: int, length: int) -> Http2Error | None:
        if length > self._most_bytes:
            why = f"a frame of {length} bytes, and at most {self._most_bytes} are accepted"
            return Http2Error(ErrorCode.FRAME_SIZE_ERROR, why)
        fixed = _FIXED_SIZES.get(kind, length)
        if fixed != length:
            return Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of type {kind} with {length} bytes")
        if kind == SETTINGS and (length % 6 or (flags & ACK and length)):
            return Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a SETTINGS frame with {length} bytes")
        if kind == GOAWAY and length < 8:
            return Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a GOAWAY frame with {length} bytes")
        if stream == 0 and kind in _ON_A_STREAM:
            return Http2Error(ErrorCode.PROTOCOL_ERROR, f"a frame of type {kind} on stream 0")
        if stream and kind in _ON_THE_CONNECTION:
            return Http2Error(ErrorCode.PROTOCOL_ERROR, f"a frame of type {kind} on stream {stream}")
        return None


def unpadded(flags: int, payload: bytes) -> bytes:
    """A payload without its padding. Raises Http2Error when there is more padding than payload."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a frame with more padding than content")
    return payload[1 : len(payload) - payload[0]]


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Identifiers and values, in their order; unknown ones too."""
    return list(_SETTING.iter_unpack(payload))


def frame_head(kind: int, flags: int, stream: int, length: int) -> bytes:
    """The nine bytes before a payload of `length` bytes."""
    return _write_head(length >> 16, length & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return frame_head(kind, flags, stream, len(payload)) + payload


def headers_frames(stream: int, block: bytes, *, ended: bool, most_bytes: int = DEFAULT_FRAME_BYTES) -> bytes:
    """A header block as HEADERS and as many CONTINUATION frames as it needs."""
    flags = END_STREAM if ended else 0
    if len(block) <= most_bytes:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [frame(HEADERS, flags, stream, block[:most_bytes])]
    for at in range(most_bytes, len(block), most_bytes):
        last = at + most_bytes >= len(block)
        parts.append(frame(CONTINUATION, END_HEADERS if last else 0, stream, block[at : at + most_bytes]))
    return b"".join(parts)


def settings_frame(settings: dict[int, int]) -> bytes:
    """SETTINGS with these values."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in settings.items()))


def reset_frame(stream: int, code: ErrorCode) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def window_update_frame(stream: int, increment: int) -> bytes:
    """WINDOW_UPDATE; `stream` 0 means the connection."""
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def goaway_frame(last_stream: int, code: ErrorCode, why: str = "") -> bytes:
    """GOAWAY; `why` is for whoever debugs the peer."""
    return frame(GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + code.to_bytes(4, "big") + why.encode())
