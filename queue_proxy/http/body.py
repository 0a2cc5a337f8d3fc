"""Framing of bodies: given bytes, how many of them belong to the body, and has it ended?

Bodies are forwarded as the bytes in which they came, also when chunked; these machines only watch for the
end. `sink`, where given, collects the decoded parts, for the few cases in which the framing must change.
"""

from __future__ import annotations

import re
from typing import Protocol

from queue_proxy.http.lines import is_valid_line, name_of

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?").fullmatch
_START_OF_SIZE = re.compile(rb"[0-9A-Fa-f]{0,15}(?:[ \t]*(?:;[\t -~\x80-\xff]*)?)?\r?").fullmatch
_START_OF_LINE = re.compile(rb"[\t -~\x80-\xff]*\r?").fullmatch
_LONGEST_SIZE_LINE = 256
_SIZE_LINE_WITHOUT_EXTENSION = 16
_EXTENSION_BYTES = 8_192
_SIZES_REMEMBERED = 4_096
_sizes: dict[bytes, int] = {}
"""Lines that say the size of a chunk, of those without an extension that were there before; never that of the last."""
_NEVER_A_TRAILER = frozenset(
    {b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer", b"upgrade", b"te", b"expect"}
    | {b"authorization", b"content-encoding", b"content-type", b"content-range", b"cookie", b"set-cookie"}
)


class BodyError(ValueError):
    """A body that does not keep to its framing; the message says how."""


class BodyFraming(Protocol):
    """Finds the end of one body."""

    ended: bool

    def feed(self, data: bytes, sink: list[bytes] | None = None) -> int:
        """How many bytes of `data` belong to this body. Raises BodyError."""
        ...


class LengthBody:
    """A body of known length."""

    __slots__ = ("ended", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.ended = length == 0

    def feed(self, data: bytes, sink: list[bytes] | None = None) -> int:
        """See BodyFraming."""
        size = len(data)
        if size < self.remaining:
            self.remaining -= size
            if sink is not None:
                sink.append(data)
            return size
        used = self.remaining
        self.remaining = 0
        self.ended = True
        if sink is not None:
            sink.append(data[:used])
        return used


class UntilCloseBody:
    """A body that ends with its connection."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = False

    def feed(self, data: bytes, sink: list[bytes] | None = None) -> int:
        """See BodyFraming."""
        if sink is not None:
            sink.append(data)
        return len(data)


class ChunkedBody:
    """A chunked body with its trailers.

    A chunk's data is counted down in `_remaining`; everything else is a line. `_in_trailers` and
    `_after_data` say which kind of line comes next.
    """

    __slots__ = ("_after_data", "_extension_room", "_in_trailers", "_line", "_remaining", "_trailer_room", "ended")

    def __init__(self, trailer_bytes: int) -> None:
        self.ended = False
        self._remaining = 0
        self._line = b""
        self._after_data = False
        self._in_trailers = False
        self._trailer_room = trailer_bytes
        self._extension_room = _EXTENSION_BYTES

    def feed(self, data: bytes, sink: list[bytes] | None = None) -> int:
        """See BodyFraming."""
        at = 0
        size = len(data)
        if not (self._remaining or self._after_data or self._line or self._in_trailers):
            at = _whole_chunks(data, sink)
        while at < size and not self.ended:
            if self._remaining:
                end = min(size, at + self._remaining)
                if sink is not None:
                    sink.append(data[at:end])
                self._remaining -= end - at
                at = end
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                return size
            line = self._line + data[at:end] if self._line else data[at:end]
            at = end + 1
            self._line = b""
            if line[-1:] != b"\r":
                raise BodyError("a line of a chunked body does not end with CR LF")
            self._read_line(line[:-1])
        return at

    def _keep(self, part: bytes) -> None:
        """Remember the start of a line, within bounds. It is forwarded before its end is known, so it must be the start
        of a valid line: whoever takes a CR alone for a line's end could find a whole request in the rest."""
        line = self._line = self._line + part
        if self._after_data:
            valid = line == b"\r"
        elif self._in_trailers:
            valid = len(line) <= self._trailer_room + 1 and _START_OF_LINE(line) is not None
        else:
            valid = len(line) <= _LONGEST_SIZE_LINE + 1 and _START_OF_SIZE(line) is not None
        if not valid:
            raise BodyError("a line of a chunked body is not what it should be, or too long")

    def _read_line(self, line: bytes) -> None:
        if self._in_trailers:
            self._read_trailer(line)
        elif self._after_data:
            if line:
                raise BodyError("a chunk is longer than its size")
            self._after_data = False
        else:
            self._read_size(line)

    def _read_size(self, line: bytes) -> None:
        match = _CHUNK_SIZE(line)
        length = len(line)
        if match is None or length > _LONGEST_SIZE_LINE:
            raise BodyError("a chunk's size is not a hexadecimal number of at most 15 digits")
        if length > _SIZE_LINE_WITHOUT_EXTENSION:
            # Nobody uses extensions; but they make whoever reads them work and carry 250 bytes for one of data.
            self._extension_room -= length
            if self._extension_room < 0:
                raise BodyError("chunk extensions are too long")
        self._remaining = int(match[1], 16)
        if self._remaining:
            self._after_data = True
            if length == len(match[1]) and len(_sizes) < _SIZES_REMEMBERED:
                _sizes[line] = self._remaining
        else:
            self._in_trailers = True

    def _read_trailer(self, line: bytes) -> None:
        if not line:
            self.ended = True
            return
        self._trailer_room -= len(line) + 2
        if self._trailer_room < 0:
            raise BodyError("trailers are too long")
        if not is_valid_line(line):
            raise BodyError("a trailer is not a header line")
        name = name_of(line)
        if name in _NEVER_A_TRAILER or name.startswith(b"pilotlight-"):
            raise BodyError("a trailer has a name that is not allowed there")


def _whole_chunks(data: bytes, sink: list[bytes] | None) -> int:
    """How many bytes at the start of `data` are whole chunks whose size is one of those that are known: what streams
    of events consist of."""
    at = 0
    while True:
        start = data.find(b"\r\n", at, at + _SIZE_LINE_WITHOUT_EXTENSION + 2) + 2
        length = _sizes.get(data[at : start - 2]) if start > 1 else None
        if length is None:
            return at
        end = start + length
        if data[end : end + 2] != b"\r\n":
            return at
        if sink is not None:
            sink.append(data[start:end])
        at = end + 2
