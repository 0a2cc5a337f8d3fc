"""The request log: one JSON object per line and request.

No header but the user agent is in it, and of the target only the path: what else a request carries may be a secret.
A line is written whole or counted as lost; where a file takes half a line because the disk is full, the next one
begins on a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from queue_proxy.observability.record import RequestRecord

log = logging.getLogger(__name__)

_STDOUT = 1
_encode = json.JSONEncoder(separators=(",", ":")).encode


class RequestLog:
    """Implements `queue_proxy.observability.batches.Sink`. Raises OSError when `target` cannot be written.

    A file that was moved away or removed is begun anew with the next batch, so that logs can be rotated.
    """

    def __init__(self, component: str, target: str, clock: Callable[[], float]) -> None:
        """`target` is `stdout` or a path; `clock` that of the records."""
        self._component = component
        self._clock = clock
        self._path = None if target == "stdout" else Path(target)
        self._file = _STDOUT if self._path is None else _open(self._path)
        self._broken_line = False
        self._failing = False

    def write(self, batch: Sequence[RequestRecord]) -> int:
        """See Sink."""
        offset = time.time() - self._clock()
        lines = [_encode(line_of(record, self._component, offset)).encode() + b"\n" for record in batch]
        try:
            if self._path is not None:
                self._follow(self._path)
            written = self._write(b"".join(lines))
        except OSError as error:
            written = 0
            self._complain(error)
        whole = 0
        for line in lines:
            written -= len(line)
            if written < 0:
                break
            whole += 1
        return len(lines) - whole

    def close(self) -> None:
        """See Sink. The file is closed with the process: a write may still be under way."""

    def _write(self, data: bytes) -> int:
        """How many bytes of `data` were written."""
        if self._broken_line:
            os.write(self._file, b"\n")
            self._broken_line = False
        at = 0
        try:
            while at < len(data):
                at += os.write(self._file, data[at:])
            self._failing = False
        except OSError as error:
            self._complain(error)
            self._broken_line = at > 0 and data[at - 1 : at] != b"\n"
        return at

    def _follow(self, path: Path) -> None:
        """Open the file again if there is another, or none, where it was."""
        ours = os.fstat(self._file)
        try:
            there = path.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            new = _open(path)
            os.close(self._file)
            self._file = new

    def _complain(self, error: OSError) -> None:
        """Once for each time that writing begins to fail."""
        if not self._failing:
            self._failing = True
            log.warning("the request log cannot be written: %s", error.strerror)


def line_of(record: RequestRecord, component: str, offset: float) -> dict[str, str | float | None]:
    """One line. `offset` is what is to be added to the record's clock to get seconds since the epoch."""
    arrived_at = record.arrived_at
    time_of_arrival = datetime.fromtimestamp(arrived_at + offset, UTC).isoformat(timespec="milliseconds")
    return {
        "time": time_of_arrival.replace("+00:00", "Z"),
        "component": component,
        "service": record.service or None,
        "replica": record.replica or None,
        "method": record.method.decode("latin-1"),
        "path": record.path.decode("latin-1"),
        "status": record.status,
        "outcome": record.outcome.value,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "wait_seconds": round(record.waited, 6),
        "first_byte_seconds": None if record.answered_at is None else round(record.answered_at - arrived_at, 6),
        "total_seconds": round(record.ended_at - arrived_at, 6),
        "trace_id": None if record.trace is None else record.trace.trace_id,
        "user_agent": record.user_agent.decode("latin-1") or None,
    }


def _open(path: Path) -> int:
    """Raises OSError. Not waiting, so that a pipe without a reader is an error and does not stop the start."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.set_blocking(file, True)
    return file
