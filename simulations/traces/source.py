"""Files as they come from outside: gzip or plain by their content, read in blocks of whole lines, never trusted.

Whatever the file holds, memory stays flat: a block is bounded, a line is bounded, and what unpacks to far more than it
is, as no trace does, is refused. What is wrong with a row is said with file and line, or counted where the user asked
for that.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from simulations.traces.trace import TraceError

BLOCK_BYTES = 4 << 20
MOST_LINE_BYTES = 1 << 20
HEAD_BYTES = 64 << 10
_BOMB_BYTES = 256 << 20
_BOMB_RATIO = 200
_MOST_REMEMBERED = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def skipped_rows(count: int) -> str:
    """How many were left out, in words."""
    return "1 bad row was skipped" if count == 1 else f"{count} bad rows were skipped"


@dataclass(slots=True)
class BadRows:
    """Rows that cannot be used: the first one ends the reading, or with `skip` each is counted.

    A file in which most rows are bad is not of that format, and saying so helps more than skipping them all.
    """

    name: str
    skip: bool = False
    count: int = 0
    good: int = 0
    first: str | None = None
    _lines: set[int] = field(default_factory=set)

    def bad(self, line: int, what: str) -> None:
        """Raises TraceError with place and reason, unless rows are skipped and not too many were."""
        message = f"{self.name}:{line}: {what}"
        if not self.skip:
            raise TraceError(message)
        if line in self._lines:
            return  # a row with two mistakes in it is one bad row
        if len(self._lines) >= _MOST_REMEMBERED:
            self._lines.clear()
        self._lines.add(line)
        self.count += 1
        self.first = self.first or message
        if self.count > 1000 and self.count > self.good:
            raise TraceError(f"{self.name}: {self.count} bad rows, {self.good} good; the first: {self.first}")

    def nothing(self, of_what: str) -> TraceError:
        """What to raise where a file has nothing that can be used."""
        skipped = f"; {skipped_rows(self.count)}, the first: {self.first}" if self.count else ""
        return TraceError(f"{self.name}: there is no {of_what} in it{skipped}")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines. `first_line` is the number of the first, from 1; the last one ends with a newline, too."""

    data: bytes
    first_line: int


@dataclass(frozen=True, slots=True)
class Source:
    """One input file. Raises TraceError from every method, also for what the system says of the file."""

    path: Path
    head: bytes = field(repr=False)
    zipped: bool

    @classmethod
    def open(cls, path: Path) -> Source:
        """Look at the file: what it begins with, unpacked."""
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise TraceError(f"{path}: is not a regular file, which is needed because traces are read twice")
            with path.open("rb") as file:
                zipped = file.read(2) == _GZIP_MAGIC
        except OSError as error:
            raise TraceError(f"{path}: {error.strerror}") from error
        source = cls(path, b"", zipped)
        with source._reading() as file:
            head = source._read(file, HEAD_BYTES)
        return cls(path, head.removeprefix(_BYTE_ORDER_MARK), zipped)

    @property
    def name(self) -> str:
        """The file's name, without what says how it is packed and written down."""
        name = self.path.name
        for suffix in (".gz", ".csv", ".jsonl", ".json", ".txt", ".log"):
            name = name.removesuffix(suffix)
        return name

    def digest(self) -> str:
        """sha256 of the file as it lies there, as `sha256sum` gives it."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror}") from error

    def first_lines(self, count: int) -> list[str]:
        """The first lines of `head`, decoded; what is not UTF-8 shows as �."""
        return [line.decode(errors="replace").rstrip("\r\n") for line in self.head.splitlines()[:count]]

    def blocks(self) -> Iterator[Block]:
        """The file from its start, a few megabytes of whole lines at a time; a missing last newline is added."""
        line, rest, unpacked = 1, b"", 0
        packed = max(1, self.path.stat().st_size)
        with self._reading() as file:
            while data := self._read(file, BLOCK_BYTES):
                unpacked += len(data)
                if self.zipped and unpacked > _BOMB_BYTES and unpacked > _BOMB_RATIO * packed:
                    raise TraceError(f"{self.path}: unpacks to more than {_BOMB_RATIO} times its size; refused")
                if b"\0" in data:
                    place = line + (rest + data[: data.index(b"\0")]).count(b"\n")
                    raise TraceError(f"{self.path}:{place}: a NUL byte; this is not a text file")
                data = rest + data
                end = data.rfind(b"\n") + 1
                whole, rest = data[:end], data[end:]
                if len(rest) > MOST_LINE_BYTES:
                    raise self._long(line + whole.count(b"\n"))
                if whole:
                    yield self._block(whole, line)
                    # bytes.count takes as long for each newline as for the line before it.
                    line += int(np.count_nonzero(np.frombuffer(whole, np.uint8) == ord("\n")))
        if rest:
            yield self._block(rest + b"\n", line)

    def check_lengths(self, block: Block) -> None:
        """Raises TraceError for a line that is longer than any line of a trace."""
        ends = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("\n"))
        long = np.flatnonzero(np.diff(ends, prepend=-1) > MOST_LINE_BYTES + 1)
        if len(long):
            raise self._long(block.first_line + int(long[0]))

    def lines(self) -> Iterator[tuple[int, str]]:
        """Each line that is not blank, with its number; bytes that are not UTF-8 show as �."""
        for block in self.blocks():
            for number, line in enumerate(block.data.split(b"\n"), block.first_line):
                if line and not line.isspace():
                    if len(line) > MOST_LINE_BYTES:
                        raise self._long(number)
                    yield number, line.decode(errors="replace")

    def everything(self, most: int) -> bytes:
        """The whole file, for formats that cannot be read in parts; at most `most` bytes."""
        with self._reading() as file:
            data = self._read(file, most + 1)
            while len(data) <= most and (more := self._read(file, most + 1 - len(data))):
                data += more
        if len(data) > most:
            raise TraceError(f"{self.path}: has more than {most} bytes")
        return data.removeprefix(_BYTE_ORDER_MARK)

    def _block(self, data: bytes, line: int) -> Block:
        return Block(data.removeprefix(_BYTE_ORDER_MARK) if line == 1 else data, line)

    def _long(self, line: int) -> TraceError:
        return TraceError(f"{self.path}:{line}: the line is longer than {MOST_LINE_BYTES} bytes")

    def _reading(self) -> BinaryIO:
        try:
            if self.zipped:
                return io.BufferedReader(gzip.GzipFile(self.path, "rb"), BLOCK_BYTES)
            return self.path.open("rb", buffering=0)
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror}") from error

    def _read(self, file: BinaryIO, size: int) -> bytes:
        try:
            return file.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TraceError(f"{self.path}: the gzip file is damaged or cut off: {error}") from error
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror or error}") from error
