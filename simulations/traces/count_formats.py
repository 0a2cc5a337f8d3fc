"""Files of counts: Azure Functions of 2019 as published and as converted, and one count a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulations.traces import table as tables
from simulations.traces.counts import Cells, CountsTrace, Durations, check_fullest
from simulations.traces.options import Format, OpenedTrace, ReadOptions, input_digest
from simulations.traces.rows import header_of
from simulations.traces.services import Services
from simulations.traces.source import BadRows, Source
from simulations.traces.trace import TraceError

_MOST_A_CELL = 10_000_000
_MINUTE = 60.0
_PUBLIC_KEYS = ("HashOwner", "HashApp", "HashFunction")
_PUBLIC_QUANTILES = {
    "Minimum": 0.0,
    "percentile_Average_0": 0.0,
    "percentile_Average_1": 0.01,
    "percentile_Average_25": 0.25,
    "percentile_Average_50": 0.5,
    "percentile_Average_75": 0.75,
    "percentile_Average_99": 0.99,
    "percentile_Average_100": 1.0,
    "Maximum": 1.0,
}
_CONVERTED_QUANTILES = {
    "min_ms": 0.0, "p1_ms": 0.01, "p25_ms": 0.25, "p50_ms": 0.5, "p75_ms": 0.75, "p99_ms": 0.99, "max_ms": 1.0
}  # fmt: skip


def recognise_per_minute(source: Source) -> bool:
    """A column that names the function, and one for each minute."""
    header = header_of(source)
    return bool(header) and header[0] in ("function", "HashOwner") and len(_minutes(header)) > 0


def recognise_per_second(source: Source) -> bool:
    """The header is the one word count."""
    return header_of(source) == ["count"]


def open_per_minute(source: Source, options: ReadOptions) -> OpenedTrace:
    """One function a row, one minute a column. Raises TraceError."""
    header = header_of(source)
    minutes = _minutes(header)
    keys = _keys(header)
    if not minutes or not keys:
        raise TraceError(f"{source.path}:1: the header must name the function and then each minute: 0, 1, 2, …")
    bad = BadRows(str(source.path), options.skip_bad)
    services = Services(bad)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]] = []
    for table in _tables(source, header, bad):
        parts.append(_row_cells(table, keys, minutes, services, bad))
        bad.good += len(table)
    at, service, count = (np.concatenate([part[i] for part in parts]) for i in range(3)) if parts else _nothing()
    cells = Cells.sorted(at, service.astype(np.int32), count)
    named, inputs = _durations_beside(source, options), {source.path.name: source.digest()}
    durations: Durations | None = None
    remarks: tuple[str, ...] = ("no durations: give them with --durations FILE",)
    if named is not None:
        durations, remarks = _read_durations(named, services.names, options)
        inputs[named.name] = Source.open(named).digest()
    return _opened(
        source, options, "azure-functions-2019", tuple(services.names), cells, _MINUTE, len(minutes), bad, remarks,
        durations, inputs,
    )  # fmt: skip


def open_per_second(source: Source, options: ReadOptions) -> OpenedTrace:
    """One count a line, one line a second. Raises TraceError."""
    if not recognise_per_second(source):
        first = "".join(source.first_lines(1))
        raise TraceError(f"{source.path}:1: the header of format counts-1s is count; this is {first[:80]!r}")
    bad = BadRows(str(source.path), options.skip_bad)
    counts = []
    for table in _tables(source, header_of(source), bad):
        values, good = _counts(table, 0, "count", bad)
        counts.append(np.where(good, values, 0))  # a bad second stays in its place: those after it must not move
        bad.good += int(good.sum())
    count = np.concatenate(counts) if counts else np.empty(0, np.int64)
    cells = Cells.sorted(np.arange(len(count)), np.zeros(len(count), np.int32), count)
    inputs = {source.path.name: source.digest()}
    return _opened(source, options, "counts-1s", (source.name,), cells, 1.0, len(count), bad, (), None, inputs)


def _opened(
    source: Source,
    options: ReadOptions,
    form: str,
    services: tuple[str, ...],
    cells: Cells,
    width: float,
    bins: int,
    bad: BadRows,
    remarks: tuple[str, ...],
    durations: Durations | None,
    inputs: dict[str, str],
) -> OpenedTrace:
    if not len(cells.count):
        raise bad.nothing("request")
    fullest = int(np.bincount(cells.bin, cells.count.astype(np.float64)).max()) * options.load
    check_fullest(str(source.path), fullest, width)
    trace = CountsTrace(
        name=source.name,
        services=services,
        cells=cells,
        width=width,
        bins=bins,
        seed=options.seed,
        origin=input_digest(inputs, options, drawn=False),
        durations=durations,
    )
    drawn = f"only counts per {width:g} s are recorded: requests are drawn within them, seed {options.seed}"
    return OpenedTrace(
        trace=trace,
        format=form,
        recognised=f"{source.path}: counts per {width:g} s of {len(services)} services, by its header",
        skipped=bad.count,
        first_bad=bad.first,
        remarks=(drawn, *remarks),
    )


def _nothing() -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64)


def _minutes(header: list[str]) -> list[int]:
    """The columns that are minutes: the last ones, numbered on from 0 or 1."""
    columns = [index for index, name in enumerate(header) if name.isascii() and name.isdigit() and len(name) < 8]
    numbered = [int(header[index]) for index in columns]
    whole = bool(columns) and numbered[0] in (0, 1) and numbered == list(range(numbered[0], numbered[0] + len(columns)))
    return columns if whole and columns[-1] == len(header) - 1 else []


def _keys(header: list[str]) -> list[int]:
    if "function" in header:
        return [header.index("function")]
    return [header.index(name) for name in _PUBLIC_KEYS] if set(_PUBLIC_KEYS) <= set(header) else []


def _tables(source: Source, header: list[str], bad: BadRows) -> list[tables.Table]:
    found = []
    for block in source.blocks():
        table = tables.split(tables.without_header(block), len(header), bad)
        if len(table):
            found.append(table)
    return found


def _names(table: tables.Table, keys: list[int], bad: BadRows) -> list[bytes]:
    return tables.texts(table, keys, ["the function"] * len(keys), bad)[0]


def _row_cells(
    table: tables.Table, keys: list[int], minutes: list[int], services: Services, bad: BadRows
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    names = zip(_names(table, keys, bad), table.lines, strict=True)
    rows = np.array([services.index(raw, int(line)) if raw else -1 for raw, line in names], np.int32)
    # All minutes of all rows as one long column: a column at a time would be 1,440 times the overhead.
    columns, width = np.array(minutes), len(minutes)
    starts, ends = table.starts[:, columns].reshape(-1, 1), table.ends[:, columns].reshape(-1, 1)
    values, good = _counts(tables.Table(table.data, starts, ends, np.repeat(table.lines, width)), 0, "a count", bad)
    whole = (rows >= 0) & good.reshape(-1, width).all(axis=1)
    row, minute = np.nonzero(values.reshape(-1, width) * whole[:, None])
    return minute, rows[row], values.reshape(-1, width)[row, minute]


def _counts(table: tables.Table, column: int, what: str, bad: BadRows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    values, good = tables.numbers(table, column, what, bad, optional=False)
    allowed = good & (values >= 0) & (values <= _MOST_A_CELL) & (np.floor(values) == values)
    for row in np.flatnonzero(good & ~allowed).tolist():
        bad.bad(int(table.lines[row]), f"{what} is {values[row]:g}; a whole number from 0 to {_MOST_A_CELL} is needed")
    return np.where(allowed, values, 0).astype(np.int64), allowed


def _durations_beside(source: Source, options: ReadOptions) -> Path | None:
    if options.durations is not None:
        return options.durations
    for own, other in (
        (".counts_60s.", ".durations."),
        ("invocations_per_function_md.", "function_durations_percentiles."),
    ):
        beside = source.path.with_name(source.path.name.replace(own, other))
        if beside != source.path and beside.exists():
            return beside
    return None


def _read_durations(path: Path, names: list[str], options: ReadOptions) -> tuple[Durations, tuple[str, ...]]:
    """Quantiles of the functions in `names`. Raises TraceError."""
    source = Source.open(path)
    header = header_of(source)
    quantiles = _quantile_columns(header, _CONVERTED_QUANTILES) or _quantile_columns(header, _PUBLIC_QUANTILES)
    keys = _keys(header)
    if not quantiles or not keys:
        raise TraceError(f"{path}:1: is not a file of durations: no function and percentiles in its header")
    bad, index = BadRows(str(path), options.skip_bad), {name: at for at, name in enumerate(names)}
    values = np.full((len(names), len(quantiles)), np.nan)
    for table in _tables(source, header, bad):
        columns = [tables.numbers(table, column, header[column], bad, optional=False) for column in quantiles.values()]
        good = np.logical_and.reduce([fine for _, fine in columns])
        for row, raw in enumerate(_names(table, keys, bad)):
            at = index.get(raw.decode(errors="replace").strip())
            if at is not None and good[row]:
                values[at] = np.maximum.accumulate([max(0.0, column[row]) / 1000.0 for column, _ in columns])
    without = int(np.isnan(values[:, 0]).sum())
    remarks = [f"durations from {path}"] + ([f"{without} functions have none there"] if without else [])
    return Durations(np.array(list(quantiles)), values), tuple(remarks)


def _quantile_columns(header: list[str], known: Mapping[str, float]) -> dict[float, int]:
    """The column of each probability, rising; {} when its ends are not there."""
    found = {probability: header.index(name) for name, probability in known.items() if name in header}
    return dict(sorted(found.items())) if {0.0, 1.0} <= set(found) else {}


COUNT_FORMATS = (
    Format(
        "azure-functions-2019",
        "counts per minute, one function a row (Azure Functions of 2019)",
        recognise_per_minute,
        open_per_minute,
    ),
    Format("counts-1s", "one count a second, header count", recognise_per_second, open_per_second),
)
