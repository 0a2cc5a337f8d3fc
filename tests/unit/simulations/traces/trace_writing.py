"""Writes a trace as our own plain CSV, with the columns that it has; the same bytes for the same trace."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from simulations.traces.trace import NOT_RECORDED, Requests, Trace, TraceError

_ARRIVAL_DIGITS = 3
_SECONDS_DIGITS = 3


def write_trace(trace: Trace, path: Path) -> int:
    """Write all requests, gzip when the name ends in .gz; returns how many. Raises TraceError.

    Times are written to the millisecond. Columns that no request in the first chunk has are left out.
    """
    try:
        with path.open("wb") as file:
            if path.suffix != ".gz":
                return _write(trace, file.write)
            # Neither time nor name in the header: the bytes depend on the trace alone.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed:
                return _write(trace, packed.write)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error


def _write(trace: Trace, write: Callable[[bytes], int]) -> int:
    rows, columns = 0, None
    for chunk in trace.chunks():
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        if columns is None:
            columns = _columns(trace, chunk)
            lines.writerow(("arrival_s", *columns))
        lines.writerows(_rows(trace, chunk, columns))
        write(text.getvalue().encode())
        rows += len(chunk)
    return rows


def _columns(trace: Trace, first: Requests) -> tuple[str, ...]:
    there = {
        "service": len(trace.services) > 1,
        "seconds": not bool(np.isnan(first.seconds).all()),
        "input_tokens": bool((first.input_tokens != NOT_RECORDED).any()),
        "output_tokens": bool((first.output_tokens != NOT_RECORDED).any()),
    }
    return tuple(name for name, is_there in there.items() if is_there)


def _rows(trace: Trace, chunk: Requests, columns: tuple[str, ...]) -> Iterator[list[str]]:
    made: dict[str, list[str]] = {
        "service": [trace.services[at] for at in chunk.service.tolist()],
        "seconds": ["" if math.isnan(took) else f"{took:.{_SECONDS_DIGITS}f}" for took in chunk.seconds.tolist()],
        "input_tokens": ["" if count == NOT_RECORDED else str(count) for count in chunk.input_tokens.tolist()],
        "output_tokens": ["" if count == NOT_RECORDED else str(count) for count in chunk.output_tokens.tolist()],
    }
    # Rounded down: rounding up could put a request at or behind the end of the trace.
    scale = 10**_ARRIVAL_DIGITS
    arrivals = [f"{math.floor(at * scale) / scale:.{_ARRIVAL_DIGITS}f}" for at in chunk.arrival.tolist()]
    for at, arrival in enumerate(arrivals):
        yield [arrival, *(made[name][at] for name in columns)]
