"""Rows once read, kept to be read again: in memory while they are few, else in a temporary file of columns.

Reading a format costs far more than reading columns, and a comparison reads its trace once for each policy and seed.
Rows that are a little out of order, as logs of several servers are, are put in order on the way through a window; a
small trace is sorted as a whole. Where that is not enough the line is named that came too late.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulations.traces.trace import CHUNK_ROWS, Requests, TraceError, concatenated, cut, in_order

WINDOW_ROWS = 16 * CHUNK_ROWS
_IN_MEMORY_ROWS = 1 << 20
_WHOLE_SORT_ROWS = 4 << 20
_ROW_BYTES = 8 + 4 + 4 + 4 + 8

_Lines: TypeAlias = NDArray[np.int64]


class _Columns:
    """A temporary file without a name, which is gone with the last trace that reads it."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="pilotlight-trace-") as file:
            self.number = os.dup(file.fileno())

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)

    def write(self, data: bytes) -> None:
        """Append all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.number, view) :]


@dataclass(frozen=True, slots=True)
class Spooled:
    """Rows in order, to be read any number of times. `first` and `last` are arrivals, 0 when there are no rows."""

    rows: int
    first: float
    last: float
    _kept: tuple[Requests, ...]
    _written: tuple[int, ...]
    _file: _Columns | None

    def chunks(self, base: float = 0.0) -> Iterator[Requests]:
        """All rows, their arrivals since `base`."""
        for rows in self._stored():
            yield rows if base == 0.0 else replace(rows, arrival=rows.arrival - base)

    def _stored(self) -> Iterator[Requests]:
        yield from self._kept
        if self._file is not None:
            offset = 0
            for rows in self._written:
                yield _from_bytes(os.pread(self._file.number, rows * _ROW_BYTES, offset), rows)
                offset += rows * _ROW_BYTES


class Spool:
    """Takes rows as they are read."""

    def __init__(
        self,
        name: str,
        *,
        window: int = WINDOW_ROWS,
        in_memory: int = _IN_MEMORY_ROWS,
        whole_sort: int = _WHOLE_SORT_ROWS,
    ) -> None:
        """Rows may be up to `window` rows late; traces of up to `whole_sort` rows may be in any order."""
        self._name, self._window, self._in_memory, self._whole_sort = name, window, in_memory, whole_sort
        self._waiting: list[tuple[Requests, _Lines]] = []
        self._waiting_rows = 0
        self._kept: list[Requests] = []
        self._written: list[int] = []
        self._file: _Columns | None = None
        self._rows = 0
        self._first = self._last = 0.0
        self._late: tuple[int, float] | None = None

    def add(self, rows: Requests, lines: _Lines) -> None:
        """Take these; `lines` are the lines that they came from. Raises TraceError."""
        self._waiting.append((rows, lines))
        self._waiting_rows += len(rows)
        if self._waiting_rows >= 2 * self._window:
            self._pass_on(self._waiting_rows - self._window)

    def finish(self) -> Spooled:
        """Everything that was added, in order. Raises TraceError where it cannot be put in order."""
        self._pass_on(self._waiting_rows)
        done = Spooled(self._rows, self._first, self._last, tuple(self._kept), tuple(self._written), self._file)
        if self._late is None:
            return done
        if self._rows > self._whole_sort:
            line, seconds = self._late
            raise TraceError(
                f"{self._name}:{line}: comes {seconds:.3f} s before a row that stands more than {self._window} rows "
                f"above it; a trace of more than {self._whole_sort} rows must be nearly sorted by arrival"
            )
        ordered = in_order(concatenated(list(done.chunks())))
        again = Spool(self._name, in_memory=self._in_memory)
        again._store(ordered)
        return Spooled(self._rows, again._first, again._last, tuple(again._kept), tuple(again._written), again._file)

    def _pass_on(self, count: int) -> None:
        if count == 0:
            return
        rows = concatenated([rows for rows, _ in self._waiting])
        lines = np.concatenate([lines for _, lines in self._waiting])
        if not bool(np.all(rows.arrival[1:] >= rows.arrival[:-1])):
            order = np.argsort(rows.arrival, kind="stable")
            rows, lines = rows.take(order), lines[order]
        if self._late is None and self._rows and rows.arrival[0] < self._last:
            self._late = int(lines[0]), self._last - float(rows.arrival[0])
        self._store(rows.take(slice(0, count)))
        self._waiting = [(rows.take(slice(count, None)), lines[count:])] if count < len(rows) else []
        self._waiting_rows -= count

    def _store(self, rows: Requests) -> None:
        if not self._rows:
            self._first = float(rows.arrival[0])
        self._last = max(float(rows.arrival[-1]), self._last) if self._rows else float(rows.arrival[-1])
        for chunk in cut(rows):
            self._rows += len(chunk)
            if self._rows <= self._in_memory:
                self._kept.append(_read_only(chunk))
                continue
            try:
                self._file = self._file or _Columns()
                self._file.write(_to_bytes(chunk))
            except OSError as error:
                where = tempfile.gettempdir()
                raise TraceError(f"{self._name}: cannot be kept in {where} (TMPDIR): {error.strerror}") from error
            self._written.append(len(chunk))


def _to_bytes(rows: Requests) -> bytes:
    columns = (rows.arrival, rows.seconds, rows.service, rows.input_tokens, rows.output_tokens)
    return b"".join(column.tobytes() for column in columns)


def _from_bytes(data: bytes, rows: int) -> Requests:
    floats = np.frombuffer(data, np.float64, 2 * rows)
    whole = np.frombuffer(data, np.int32, 3 * rows, 16 * rows)
    return Requests(floats[:rows], whole[:rows], whole[rows : 2 * rows], whole[2 * rows :], floats[rows:])


def _read_only(rows: Requests) -> Requests:
    """A copy that a reader cannot change for the next one."""
    own = Requests(
        rows.arrival.copy(),
        rows.service.copy(),
        rows.input_tokens.copy(),
        rows.output_tokens.copy(),
        rows.seconds.copy(),
    )
    for column in (own.arrival, own.service, own.input_tokens, own.output_tokens, own.seconds):
        column.flags.writeable = False
    return own
