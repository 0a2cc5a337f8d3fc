"""Formats of one request a line that are no tables, read by one reader: usual lines all together, others one by one.

Parsing a line with all that a format allows costs some microseconds. Nearly all lines of a file are written alike, and
one expression, run over a block of lines at once, finds what is in those; it is strict, so that it takes no line
which the full parser would refuse or read differently. Whatever it does not take goes to that parser, which says what
is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulations.traces.options import OpenedTrace, ReadOptions, input_digest
from simulations.traces.randomness import stream
from simulations.traces.rows import stored_trace
from simulations.traces.services import Services
from simulations.traces.source import BadRows, Block, Source
from simulations.traces.spool import Spool
from simulations.traces.trace import NOT_RECORDED, Requests, requests


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One line read. `service` is the name as it stands there, b"" for the file's own."""

    arrival: float
    service: bytes = b""
    input_tokens: int = NOT_RECORDED
    output_tokens: int = NOT_RECORDED
    seconds: float = math.nan


class LineError(ValueError):
    """A line is not of the format: says what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What was found in the usual lines of a block; a row whose arrival is NaN is of another line.

    services  names as they stand there, b"" for the file's own; None: all are of the file's own
    """

    arrival: NDArray[np.float64]
    services: Sequence[bytes] | None = None
    input_tokens: NDArray[np.int32] | None = None
    output_tokens: NDArray[np.int32] | None = None
    seconds: NDArray[np.float64] | None = None


def each_once(value: Callable[[bytes], float], texts: Sequence[bytes | None]) -> NDArray[np.float64]:
    """The value of each text, NaN of none; worked out once for those that are alike, as times of a log mostly are."""
    if not any(texts):
        return np.full(len(texts), np.nan)
    values = _Values(value)
    return np.array(list(map(values.__getitem__, texts)))


class _Values(dict[bytes | None, float]):
    """Values of texts, worked out when they are asked for first."""

    def __init__(self, value: Callable[[bytes], float]) -> None:
        super().__init__({None: math.nan})
        self._value = value

    def __missing__(self, text: bytes | None) -> float:
        made = self[text] = math.nan if text is None else self._value(text)
        return made


@dataclass(frozen=True, slots=True)
class LineFormat:
    """How lines are read.

    usual    matches every line with its newline. Its groups are None, unless the line is written in the usual way
    columns  the requests of what `usual` found: of each group, what it was in each line
    line     the request of any one line; raises LineError
    whole_seconds  the format knows no finer times: requests are spread over their second, each by a draw of its own,
             because a hundred at one instant would be a burst that never was
    """

    name: str
    usual: re.Pattern[bytes]
    columns: Callable[[Sequence[Sequence[bytes | None]]], Columns]
    line: Callable[[str], LineRequest]
    whole_seconds: bool = False

    def open(self, source: Source, options: ReadOptions) -> OpenedTrace:
        """Read the whole file once. Raises TraceError."""
        bad = BadRows(str(source.path), options.skip_bad)
        services, spool = Services(bad), Spool(str(source.path))
        draws = stream(options.seed, "within the second")
        for block in source.blocks():
            rows, lines = self._requests(block, services, source, bad)
            if self.whole_seconds:
                rows = replace(rows, arrival=rows.arrival + draws.random(len(rows)))
            known = rows.service >= 0
            bad.good += int(known.sum())
            if bool(known.any()):
                spool.add(rows.take(known), lines[known])
        digest = input_digest({source.path.name: source.digest()}, options, drawn=self.whole_seconds)
        trace = stored_trace(source, tuple(services.names), spool.finish(), digest, bad, rebase=True)
        spread = ("times are whole seconds: requests are spread over their second",)
        return OpenedTrace(
            trace=trace,
            format=self.name,
            recognised=f"{source.path}: {self.name}, by its first lines",
            skipped=bad.count,
            first_bad=bad.first,
            remarks=spread if self.whole_seconds else (),
        )

    def usual_requests(self, data: bytes) -> Columns:
        """The requests of the lines that are written in the usual way."""
        # As one list: a tuple a line, as findall makes them, would keep the garbage collector busy for as long again.
        found, groups = self.usual.split(data), self.usual.groups
        return self.columns([found[group :: groups + 1] for group in range(1, groups + 1)])

    def _requests(
        self, block: Block, services: Services, source: Source, bad: BadRows
    ) -> tuple[Requests, NDArray[np.int64]]:
        """The requests of a block in their order, and their line numbers."""
        source.check_lengths(block)
        columns = self.usual_requests(block.data)
        rows = requests(
            columns.arrival,
            input_tokens=columns.input_tokens,
            output_tokens=columns.output_tokens,
            seconds=columns.seconds,
        )
        names = {} if columns.services is None else dict(enumerate(columns.services))
        for place, other in self._others(block, np.isnan(rows.arrival), bad):
            rows.arrival[place], rows.seconds[place] = other.arrival, other.seconds
            rows.input_tokens[place], rows.output_tokens[place] = other.input_tokens, other.output_tokens
            names[place] = other.service
        read = ~np.isnan(rows.arrival)
        lines, own = np.arange(block.first_line, block.first_line + len(rows)), source.name.encode()
        if any(names.values()):
            listed = [names.get(place) or own for place in range(len(rows))]
            rows = replace(rows, service=services.indexes(listed, lines, read))
        elif bool(read.any()):
            rows.service[:] = services.index(own, block.first_line)
        return (rows, lines) if bool(read.all()) else (rows.take(read), lines[read])

    def _others(self, block: Block, which: NDArray[np.bool_], bad: BadRows) -> Iterator[tuple[int, LineRequest]]:
        """What stands in the lines that are not as usual, with their place in the block; not of blank and bad ones."""
        texts = block.data.split(b"\n") if bool(which.any()) else []
        for place in np.flatnonzero(which).tolist():
            if texts[place].strip():
                try:
                    yield place, self.line(texts[place].decode(errors="replace"))
                except LineError as error:
                    bad.bad(block.first_line + place, str(error))
