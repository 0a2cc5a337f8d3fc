"""Where a process's output goes: a file that cannot fill the disk, and the last lines at hand for explaining."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

_READ_BYTES = 64 * 1024
_TAIL_BYTES = 8 * 1024
# A pipe holds at most 1 MiB unless root raised the limit; somebody who keeps writing must not keep us reading.
_PIPE_READS = 32


def rotated(path: Path) -> Path:
    """Where the older part of the log at `path` is."""
    return path.with_name(f"{path.name}.1")


class LogFile:
    """Reads a pipe and appends to `path`; at `limit_bytes` the file becomes `path`.1 and a new one begins.

    So a process's output takes at most twice `limit_bytes`. Both standard streams of a process go into one pipe and
    keep their order. Reading is bounded per turn of the loop; a process that writes faster than that waits, as it
    would at a terminal.
    """

    def __init__(
        self, path: Path, limit_bytes: int = 8 * 1024 * 1024, heard: Callable[[bytes], None] | None = None
    ) -> None:
        """`heard` is told of what the process writes, in the pieces in which it comes."""
        self.path = path
        self._heard = heard
        self._limit = limit_bytes
        self._written = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._reader: int | None = None

    def open_pipe(self, loop: asyncio.AbstractEventLoop) -> int:
        """The descriptor to give to a process as its output; the caller closes its own copy after the start.

        A process that wrote here before has ended: what it has left is taken over, and its strays are let go of.
        """
        self.take_over()
        self._stop_reading()
        self._loop = loop
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        loop.add_reader(self._reader, self._read)
        return writer

    def _read(self) -> bool:
        """Take over what there is; False when there is nothing now."""
        if self._reader is None:
            return False
        try:
            data = os.read(self._reader, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._stop_reading()
            return False
        self.write(data)
        if self._heard is not None:
            self._heard(data)
        return True

    def write(self, data: bytes) -> None:
        """Append `data`, which may also be a word of ours."""
        if self._written + len(data) > self._limit and self._written:
            self._rotate()
        self._written += len(data)
        self._tail.append(data[-_TAIL_BYTES:])
        self._tail_bytes += len(self._tail[-1])
        while self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())
        try:
            os.write(self._file, data)
        except OSError:
            pass  # a full disk must not take replicas along; the last lines are still at hand

    def _rotate(self) -> None:
        os.close(self._file)
        try:
            self.path.replace(rotated(self.path))
        except OSError:
            pass  # somebody removed it; then a new one begins all the same
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._written = 0

    def last_lines(self, count: int) -> tuple[str, ...]:
        """The last lines that are not empty, oldest first; control characters are taken out."""
        text = b"".join(self._tail)[-_TAIL_BYTES:].decode(errors="replace")
        lines = (_printable(line) for line in text.splitlines())
        return tuple(line for line in lines if line)[-count:]

    def take_over(self) -> None:
        """Read what a process that has ended has left in the pipe; at most as much as a pipe holds."""
        for _ in range(_PIPE_READS):
            if not self._read():
                return

    def close(self) -> None:
        """Take over what is left and let go of pipe and file. A stray that still writes gets SIGPIPE."""
        self.take_over()
        self._stop_reading()
        os.close(self._file)

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self._reader = None


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "" for c in line).rstrip()[:400]
