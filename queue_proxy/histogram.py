"""Histogram: durations by bucket, cheap enough for every request.

An observation is a binary search in a short tuple and three additions. A metrics library takes locks and
resolves labels for each, which is most of what a request costs here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

DURATION_BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0),
)
"""Seconds. A small model answers within milliseconds, a language model thinks for ten minutes, and a wake loads weights
for as long. The same bounds everywhere, so that figures of all proxies can be added up."""


class Histogram:
    """Counts of observations up to each of `bounds` (ascending; one bucket more is for what lies above)."""

    __slots__ = ("_counts", "_first", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Raises ValueError when `bounds` are empty or do not ascend."""
        if not bounds or any(low >= high for low, high in pairwise(bounds)):
            raise ValueError(f"bounds must ascend, and these are {bounds}")
        self.bounds = bounds
        self._first = bounds[0]
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count `value` in the first bucket whose bound is not below it."""
        if value <= self._first:
            self._counts[0] += 1
        else:
            self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Prometheus' buckets: each bound as text with the number of observations up to it; `+Inf` is all."""
        count = 0
        for bound, own in zip((*map(str, self.bounds), "+Inf"), self._counts, strict=True):
            count += own
            yield bound, count
