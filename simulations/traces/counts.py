"""Traces of which only counts are known: how many requests came to each service in each bin of time.

Requests are drawn: the arrivals of a bin are independent and uniform in it, which is what a Poisson process does given
its count. So rates, bursts and idle hours are the trace's own, only the order within a bin is not. Drawing is by blocks
of bins that depend on the counts alone; each block has its own random numbers, so every reading gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulations.traces.randomness import stream
from simulations.traces.trace import DRAWN_ROWS, Floats, Ints, Requests, TraceError, cut, digest_of, in_order, requests

MOST_A_BIN = 10_000_000


def check_fullest(name: str, fullest: float, width: float) -> None:
    """A bin is drawn as a whole, in memory. Raises TraceError for one with too many requests."""
    if fullest > MOST_A_BIN:
        raise TraceError(f"{name}: {fullest:.3g} requests in {width:g} s; {MOST_A_BIN} are allowed (see --load)")


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the work of each service took, as quantiles.

    at      probabilities, rising from 0 to 1
    values  seconds; one row for each service, one column for each of `at`; NaN rows are not recorded
    """

    at: Floats
    values: Floats

    def draw(self, service: Ints, uniform: Floats) -> Floats:
        """A duration for each: linear between quantiles."""
        right = np.clip(np.searchsorted(self.at, uniform, side="right"), 1, len(self.at) - 1)
        low, high = self.values[service, right - 1], self.values[service, right]
        share = (uniform - self.at[right - 1]) / (self.at[right] - self.at[right - 1])
        drawn: Floats = low + (high - low) * share
        return drawn


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts that are not zero: `count` requests of `service` in bin `bin`; sorted by bin, then by service."""

    bin: NDArray[np.int64]
    service: Ints
    count: NDArray[np.int64]
    seconds: Floats | None = None

    @classmethod
    def sorted(cls, at: NDArray[np.int64], service: Ints, count: NDArray[np.int64]) -> Cells:
        """Put in order, zeros left out."""
        kept = count > 0
        order = np.lexsort((service[kept], at[kept]))
        return cls(at[kept][order], service[kept][order], count[kept][order])


@dataclass(frozen=True, slots=True)
class CountsTrace:
    """Requests drawn from counts; see Trace.

    width     seconds of a bin
    bins      how many there are, empty ones too
    load      counts are multiplied by this; what is left of a fraction is decided by a draw
    origin    digest of the file that the counts are from
    """

    name: str
    services: tuple[str, ...]
    cells: Cells
    width: float
    bins: int
    seed: int
    origin: str
    load: float = 1.0
    durations: Durations | None = None

    @property
    def span(self) -> float:
        """See Trace."""
        return self.bins * self.width

    @property
    def digest(self) -> str:
        """See Trace."""
        return digest_of({"counts": self.origin, "seed": self.seed, "load": self.load, "version": 1})

    def scaled(self, factor: float) -> CountsTrace:
        """With counts multiplied by `factor`. Raises TraceError when a bin would then be too full to draw."""
        load = self.load * factor
        fullest = float(np.bincount(self.cells.bin, self.cells.count.astype(np.float64)).max()) * load
        check_fullest(self.name, fullest, self.width)
        return replace(self, load=load)

    def chunks(self) -> Iterator[Requests]:
        """See Trace."""
        for block, (begin, end) in enumerate(self._blocks()):
            drawn = self._draw(block, begin, end)
            if len(drawn):
                yield from cut(drawn)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Slices of cells, of whole bins, that hold about DRAWN_ROWS requests each."""
        cells, begin = self.cells, 0
        total = np.cumsum(cells.count)
        while begin < len(total):
            before = int(total[begin - 1]) if begin else 0
            end = int(np.searchsorted(total, before + DRAWN_ROWS / max(self.load, 1e-9), side="right"))
            end = min(max(end, begin + 1), len(total))
            # Up to the first cell of a later bin: a bin is never divided, so blocks follow one another in time.
            end = int(np.searchsorted(cells.bin, cells.bin[end - 1], side="right"))
            yield begin, end
            begin = end

    def _draw(self, block: int, begin: int, end: int) -> Requests:
        cells, random = self.cells, stream(self.seed, "counts", block)
        expected = cells.count[begin:end] * self.load
        whole = np.floor(expected).astype(np.int64)
        if self.load != 1.0:
            whole += random.random(end - begin) < expected - whole
        which = np.repeat(np.arange(begin, end), whole)
        rows = len(which)
        arrival = (cells.bin[which] + random.random(rows)) * self.width
        service = cells.service[which]
        seconds = None if cells.seconds is None else cells.seconds[which]
        if self.durations is not None:
            seconds = self.durations.draw(service, random.random(rows))
        return in_order(requests(arrival, service=service, seconds=seconds))
