"""Formats of one request a row: which column is what, and the reading of all of them by one reader."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulations.traces import table as tables
from simulations.traces.options import OpenedTrace, ReadOptions, input_digest
from simulations.traces.services import Services
from simulations.traces.source import BadRows, Source
from simulations.traces.spool import Spool, Spooled
from simulations.traces.table import Table
from simulations.traces.trace import (
    MOST_TOKENS,
    NOT_RECORDED,
    Floats,
    Ints,
    Requests,
    TraceError,
    span_that_covers,
)

_Mask: TypeAlias = NDArray[np.bool_]
_MOST_SECONDS = 1e10
_MOST_REPEATS = 10_000
_PIECE_ROWS = 1 << 19


class Clock(Enum):
    """What a column of times holds."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class RowFormat:
    """Columns of a format, by name; each is a tuple of names that mean the same, () when the format has none.

    arrival    when the request came, or with `ends` when it ended
    rebase     the first request is second 0; else the times are taken as seconds since the trace began
    service    joined by "/"
    repeats    how many requests the row stands for
    keep       only rows in which this column has this value
    """

    name: str
    about: str
    arrival: tuple[str, ...]
    clock: Clock = Clock.SECONDS
    ends: bool = False
    rebase: bool = False
    service: tuple[str, ...] = ()
    join_service: bool = False
    seconds: tuple[str, ...] = ()
    input_tokens: tuple[str, ...] = ()
    output_tokens: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    keep: Mapping[str, str] | None = None
    needs: tuple[str, ...] = ()

    def recognise(self, source: Source) -> bool:
        """Its columns are in the header."""
        header = set(header_of(source))
        return any(name in header for name in self.arrival) and header.issuperset(self.needs)

    def open(self, source: Source, options: ReadOptions) -> OpenedTrace:
        """Read the whole file once. Raises TraceError."""
        header = header_of(source)
        if not self.recognise(source):
            wanted, first = ", ".join(self.needs or self.arrival), "".join(source.first_lines(1))
            raise TraceError(f"{source.path}:1: the header of format {self.name} has {wanted}; this is {first[:80]!r}")
        reader = _Reader(self, source, options, header)
        return reader.read()


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """Requests that were read from a file; see Trace."""

    name: str
    services: tuple[str, ...]
    span: float
    digest: str
    rows: int
    _spooled: Spooled
    _base: float

    def chunks(self) -> Iterator[Requests]:
        """See Trace."""
        return self._spooled.chunks(self._base)


def header_of(source: Source) -> list[str]:
    """The names in the first line."""
    first = source.first_lines(1)
    if not first:
        return []
    try:
        return [name.strip() for name in next(csv.reader([first[0]]), [])]
    except csv.Error:
        return []


def stored_trace(
    source: Source, services: tuple[str, ...], spooled: Spooled, digest: str, bad: BadRows, *, rebase: bool
) -> StoredTrace:
    """A trace of what was spooled. Raises TraceError when that is nothing, or begins before the trace does."""
    if spooled.rows == 0:
        raise bad.nothing("request")
    base = spooled.first if rebase else 0.0
    return StoredTrace(
        name=source.name,
        services=services,
        span=span_that_covers(spooled.last - base),
        digest=digest,
        rows=spooled.rows,
        _spooled=spooled,
        _base=base,
    )


class _Reader:
    def __init__(self, form: RowFormat, source: Source, options: ReadOptions, header: list[str]) -> None:
        self._form, self._source, self._options, self._header = form, source, options, header
        self._bad = BadRows(str(source.path), options.skip_bad)
        self._services = Services(self._bad)
        self._day: int | None = None
        self._left_out = 0
        places = {name: index for index, name in reversed(list(enumerate(header)))}
        self._arrival = _place(places, form.arrival)
        self._columns = tuple(_place(places, names) for names in (form.seconds, form.input_tokens, form.output_tokens))
        self._repeats = _place(places, form.repeats)
        self._service = [places[name] for name in form.service if name in places]
        self._service = self._service if form.join_service else self._service[:1]
        self._keep = [(places[name], value) for name, value in (form.keep or {}).items() if name in places]
        used = {self._arrival, *self._columns, self._repeats, *self._service, *(column for column, _ in self._keep)}
        self._unused = [name for index, name in enumerate(header) if index not in used]

    def read(self) -> OpenedTrace:
        form, source, bad = self._form, self._source, self._bad
        spool = Spool(str(source.path))
        for block in source.blocks():
            table = tables.split(tables.without_header(block), len(self._header), bad)
            for rows, lines in self._requests(table):
                bad.good += len(rows)
                spool.add(rows, lines)
        services = tuple(self._services.names) if self._service else (source.name,)
        digest = input_digest({source.path.name: source.digest()}, self._options, drawn=False)
        trace = stored_trace(source, services, spool.finish(), digest, bad, rebase=form.rebase)
        return OpenedTrace(
            trace=trace,
            format=form.name,
            recognised=f"{source.path}: {form.about}, by its header",
            skipped=bad.count,
            first_bad=bad.first,
            remarks=self._remarks(),
        )

    def _remarks(self) -> tuple[str, ...]:
        remarks = [f"columns that are not used: {', '.join(self._unused)}"] if self._unused else []
        if self._left_out:
            kept = ", ".join(f"{self._header[column]} = {value}" for column, value in self._keep)
            remarks.append(f"{self._left_out} rows left out: only those with {kept} are requests that were served")
        return tuple(remarks)

    def _requests(self, table: Table) -> Iterator[tuple[Requests, NDArray[np.int64]]]:
        if not len(table):
            return
        table = self._kept(table)
        arrival, good = self._arrivals(table)
        seconds, fine = self._durations(table)
        good &= fine
        counts = []
        for column, what in zip(self._columns[1:], ("input tokens", "output tokens"), strict=True):
            tokens, fine = self._whole(table, column, what, MOST_TOKENS, NOT_RECORDED)
            counts.append(tokens)
            good &= fine
        repeats, fine = self._whole(table, self._repeats, "requests", _MOST_REPEATS, 1)
        service, known = self._served(table)
        good &= fine & known
        if self._form.ends:
            arrival = arrival - np.nan_to_num(seconds)
        rows = Requests(arrival, service, counts[0], counts[1], seconds)
        lines, repeats = table.lines, np.where(good, repeats, 0)
        for piece in _pieces(repeats):
            again = np.repeat(np.arange(piece.start, piece.stop), repeats[piece])
            if len(again):
                yield rows.take(again), lines[again]

    def _kept(self, table: Table) -> Table:
        for column, value in self._keep:
            found, _ = tables.texts(table, [column], [self._header[column]], self._bad)
            wanted = np.array([text.strip() == value.encode() for text in found], np.bool_)
            self._left_out += int(len(wanted) - wanted.sum())
            table = table.keep(wanted)
        return table

    def _arrivals(self, table: Table) -> tuple[Floats, _Mask]:
        column, what = self._arrival, self._header[self._arrival]
        if self._form.clock is Clock.TIMESTAMP:
            whole, fraction, good = tables.timestamps(table, column, what, self._bad)
            if self._day is None and bool(good.any()):
                self._day = int(whole[good][0]) // 86_400 * 86_400
            return (whole - (self._day or 0)).astype(np.float64) + fraction, good
        values, good = tables.numbers(table, column, what, self._bad, optional=False)
        if self._form.clock is Clock.MILLISECONDS:
            values = values / 1000.0
        least = -_MOST_SECONDS if self._form.rebase else 0.0
        return values, self._within(table, values, good, least, _MOST_SECONDS, what, "seconds")

    def _durations(self, table: Table) -> tuple[Floats, _Mask]:
        column = self._columns[0]
        if column < 0:
            return np.full(len(table), np.nan), np.ones(len(table), np.bool_)
        what = self._header[column]
        values, good = tables.numbers(table, column, what, self._bad, optional=True)
        return values, self._within(table, values, good, 0.0, _MOST_SECONDS, what, "seconds")

    def _whole(self, table: Table, column: int, what: str, most: int, default: int) -> tuple[Ints, _Mask]:
        if column < 0:
            return np.full(len(table), default, np.int32), np.ones(len(table), np.bool_)
        values, good = tables.numbers(table, column, what, self._bad, optional=True)
        good = self._within(table, values, good, 0.0, float(most), what, "")
        whole = np.floor(values) == values
        for row in np.flatnonzero(good & ~whole & ~np.isnan(values)).tolist():
            self._bad.bad(int(table.lines[row]), f"{what} is {values[row]}; a whole number is needed")
            good[row] = False
        return np.where(good & ~np.isnan(values), values, default).astype(np.int32), good

    def _within(
        self, table: Table, values: Floats, good: _Mask, least: float, most: float, what: str, unit: str
    ) -> _Mask:
        outside = good & ((values < least) | (values > most))
        for row in np.flatnonzero(outside).tolist():
            allowed = f"{least:g} to {most:g} {unit}".rstrip()
            self._bad.bad(int(table.lines[row]), f"{what} is {values[row]:g}; {allowed} is allowed")
        return good & ~outside

    def _served(self, table: Table) -> tuple[Ints, _Mask]:
        if not self._service:
            return np.zeros(len(table), np.int32), np.ones(len(table), np.bool_)
        names, good = tables.texts(table, self._service, [self._header[column] for column in self._service], self._bad)
        service = self._services.indexes(names, table.lines, good)
        return service, good & (service >= 0)


def _place(places: Mapping[str, int], names: tuple[str, ...]) -> int:
    return next((places[name] for name in names if name in places), -1)


def _pieces(repeats: Ints) -> Iterator[slice]:
    """Slices of rows that stand for a bounded number of requests each."""
    total = np.cumsum(repeats, dtype=np.int64)
    begin = 0
    while begin < len(repeats):
        before = int(total[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, before + _PIECE_ROWS, side="right")))
        yield slice(begin, end)
        begin = end
