"""Writes readings and decisions down, one JSON line each, so that a run can be decided again.

A recording is only worth something if it is whole: each line is written in one piece, straight to the file, before
anything is done about the decision it holds. A controller that starts again appends; half a line that a killed one
left behind is cut off first. A disk that is full ends the recording, and is reported; it ends nothing else.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)

STOPPED = "stopped recording to"
"""How the line begins that a controller writes to its log when a recording has ended before its time."""

_TAIL_BYTES = 64 * 1024


class RecorderError(Exception):
    """The file cannot be opened for writing: says which and why."""


class Recorder:
    """Appends lines to one file. `problem` says why it stopped, None while it records."""

    def __init__(self, path: Path) -> None:
        """Raises RecorderError."""
        self.path = path
        self.problem: str | None = None
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = _cut_half_a_line(self._file)
        except OSError as error:
            raise RecorderError(f"cannot record to {path}: {error.strerror}") from error

    def write(self, *lines: str) -> None:
        """Append these lines, all or none of them."""
        if self.problem is not None:
            return
        data = "".join(f"{line}\n" for line in lines).encode()
        try:
            written = os.pwrite(self._file, data, self._size)
            while written < len(data):
                written += os.pwrite(self._file, data[written:], self._size + written)
            self._size += len(data)
        except OSError as error:
            self._stop(f"{STOPPED} {self.path}: {error.strerror}")

    def close(self) -> None:
        """Close the file; nothing is buffered."""
        if self.problem is None:
            self.problem = "closed"
            os.close(self._file)

    def _stop(self, why: str) -> None:
        self.problem = why
        _log.error("%s; deciding goes on", why)
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            pass  # then the file ends with half a line, which the next start cuts off
        os.close(self._file)


def _cut_half_a_line(file: int) -> int:
    """Cut what follows the last newline; returns the size that is left."""
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        begin = max(0, end - _TAIL_BYTES)
        newline = os.pread(file, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            end = begin + newline + 1
            break
        end = begin
    if end != size:
        os.ftruncate(file, end)
    return end
