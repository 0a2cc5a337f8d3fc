"""A trace: when requests came, for which service, and what is known of each; streamed, so that memory stays flat.

Everything that simulates reads traces through this one interface. A trace can be read as often as somebody likes and
is the same each time: policies are compared on the same requests, and a result can be had again from its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# So many fit into a core's cache together with what simulates them; of four times as many a request costs 5 % more.
CHUNK_ROWS = 16_384
# For so many at once random numbers are drawn, where any are: what is drawn depends on it, and so every result.
DRAWN_ROWS = 65_536
NOT_RECORDED = -1
MOST_SERVICES = 100_000
MOST_TOKENS = 2**31 - 1

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int32]


class TraceError(Exception):
    """A trace cannot be read or made: names the file and line, what is wrong there, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Some requests in the order in which they came; arrays of one length.

    arrival        seconds since the trace began, never falling
    service        index into Trace.services
    input_tokens   −1: not recorded
    output_tokens  −1: not recorded
    seconds        measured duration of the work, NaN: not recorded
    """

    arrival: Floats
    service: Ints
    input_tokens: Ints
    output_tokens: Ints
    seconds: Floats

    def __len__(self) -> int:
        return len(self.arrival)

    def take(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Requests:
        """These rows of it, in the order given."""
        return Requests(
            self.arrival[rows],
            self.service[rows],
            self.input_tokens[rows],
            self.output_tokens[rows],
            self.seconds[rows],
        )


class Trace(Protocol):
    """Requests, with what is known of all of them before the first is read.

    name      what a report calls it
    services  names; requests point into it
    span      seconds that the trace covers; every arrival is in [0, span)
    digest    sha256 of the input, or of what it is generated from and the seed
    """

    @property
    def name(self) -> str: ...
    @property
    def services(self) -> tuple[str, ...]: ...
    @property
    def span(self) -> float: ...
    @property
    def digest(self) -> str: ...

    def chunks(self) -> Iterator[Requests]:
        """From the first to the last, at most CHUNK_ROWS rows a chunk, none empty; the same each time."""
        ...


def requests(
    arrival: Floats,
    *,
    service: Ints | None = None,
    input_tokens: Ints | None = None,
    output_tokens: Ints | None = None,
    seconds: Floats | None = None,
) -> Requests:
    """Requests at `arrival`; columns that are left out are of service 0 and not recorded."""
    rows = len(arrival)
    return Requests(
        arrival=arrival,
        service=np.zeros(rows, np.int32) if service is None else service,
        input_tokens=np.full(rows, NOT_RECORDED, np.int32) if input_tokens is None else input_tokens,
        output_tokens=np.full(rows, NOT_RECORDED, np.int32) if output_tokens is None else output_tokens,
        seconds=np.full(rows, np.nan) if seconds is None else seconds,
    )


def concatenated(parts: list[Requests]) -> Requests:
    """One after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return requests(np.empty(0))
    return Requests(
        np.concatenate([part.arrival for part in parts]),
        np.concatenate([part.service for part in parts]),
        np.concatenate([part.input_tokens for part in parts]),
        np.concatenate([part.output_tokens for part in parts]),
        np.concatenate([part.seconds for part in parts]),
    )


def in_order(rows: Requests) -> Requests:
    """Sorted by arrival; rows of one moment stay in the order they had."""
    if len(rows) < 2 or bool(np.all(rows.arrival[1:] >= rows.arrival[:-1])):
        return rows
    return rows.take(np.argsort(rows.arrival, kind="stable"))


def cut(rows: Requests, size: int = CHUNK_ROWS) -> Iterator[Requests]:
    """The same rows, at most `size` at a time."""
    for begin in range(0, len(rows), size):
        yield rows.take(slice(begin, begin + size))


def rechunked(pieces: Iterator[Requests], size: int = CHUNK_ROWS) -> Iterator[Requests]:
    """The same rows in chunks of `size`, whatever sizes they come in: small chunks cost their readers time."""
    waiting: list[Requests] = []
    rows = 0
    for piece in pieces:
        waiting.append(piece)
        rows += len(piece)
        if rows < size:
            continue
        together = concatenated(waiting)
        whole = rows - rows % size
        yield from cut(together.take(slice(0, whole)), size)
        waiting, rows = [together.take(slice(whole, rows))], rows - whole
    if rows:
        yield concatenated(waiting)


def digest_of(body: Mapping[str, object]) -> str:
    """sha256 of what a trace is made from: the same for the same values, however they are ordered."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def span_that_covers(last_arrival: float) -> float:
    """The least number of whole seconds with every arrival strictly inside."""
    return float(np.floor(last_arrival)) + 1.0
