"""Statistics of comparisons: how sure is a difference between two policies that were given the same work?

Runs with the same seed have the same requests, start-ups and losses, so policies are compared run by run: the spread of
such differences is far smaller than that of the runs. Over seeds the interval is Student's; of a single long run it
is taken from blocks of whole hours, drawn again and again with replacement (a moving-block bootstrap: hours that follow
each other are kept together, because load is not independent from one hour to the next).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.special import stdtrit

from simulations.plant.results import F8
from simulations.traces.randomness import stream

CONFIDENCE = 0.95
LEAST_HOURS = 12
_RESAMPLES = 2_000


class Method(Enum):
    """Where an interval comes from."""

    SEEDS = "over seeds, Student t"
    HOURS = "over hours, moving blocks"
    NONE = "one run: no interval"


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one has than the other: the mean, and where it lies with 95 % confidence.

    Without an interval (`low` and `high` NaN) nothing is said of how sure it is.
    """

    mean: float
    low: float
    high: float
    method: Method
    runs: int

    @property
    def distinguishable(self) -> bool | None:
        """Whether the interval leaves 0 out; None without an interval."""
        if math.isnan(self.low):
            return None
        return not self.low <= 0.0 <= self.high

    def over(self, base: float) -> Difference:
        """The same as a share of `base`."""
        if not base:
            return Difference(math.nan, math.nan, math.nan, self.method, self.runs)
        return Difference(self.mean / base, self.low / base, self.high / base, self.method, self.runs)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the 95 % interval of the mean by Student's t; NaN bounds for fewer than two values."""
    count = len(values)
    if count == 0 or any(math.isnan(value) for value in values):
        return math.nan, math.nan, math.nan
    mean = math.fsum(values) / count
    if count == 1:
        return mean, math.nan, math.nan
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2.0)) * math.sqrt(variance / count)
    return mean, mean - half, mean + half


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Ours less theirs, over seeds. A seed in which either is NaN says nothing and is left out."""
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if not (math.isnan(a) or math.isnan(b))]
    mean, low, high = interval([a - b for a, b in pairs])
    return Difference(mean, low, high, Method.SEEDS if len(pairs) > 1 else Method.NONE, len(pairs))


@dataclass(frozen=True, slots=True, eq=False)
class Hourly:
    """One run by whole hours: GPU-hours, requests that ended, and those of them that were good."""

    gpu_hours: F8
    ended: F8
    good: F8


def by_hours(ours: Hourly, theirs: Hourly) -> tuple[Difference, Difference]:
    """Ours less theirs of a single run each: in GPU-hours of the whole run, and in attainment.

    Blocks are n^(1/3) hours long, the order that balances bias and variance; the same hours are drawn for both.
    """
    hours = min(len(ours.gpu_hours), len(theirs.gpu_hours))
    gpus = ours.gpu_hours[:hours] - theirs.gpu_hours[:hours]
    attained = _attained(ours, slice(0, hours)) - _attained(theirs, slice(0, hours))
    if hours < LEAST_HOURS:
        return _alone(float(gpus.sum())), _alone(attained)
    block = max(1, round(hours ** (1.0 / 3.0)))
    random = stream(0, "moving blocks")
    count = math.ceil(hours / block)
    begins = random.integers(0, hours - block + 1, (_RESAMPLES, count))
    drawn = (begins[:, :, None] + np.arange(block)[None, None, :]).reshape(_RESAMPLES, -1)[:, :hours]
    sums = gpus[drawn].sum(axis=1)
    shares = np.array([_attained(ours, which) - _attained(theirs, which) for which in drawn])
    return _from_draws(float(gpus.sum()), sums, hours), _from_draws(attained, shares, hours)


def _attained(hourly: Hourly, which: slice | np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    ended = float(hourly.ended[which].sum())
    return float(hourly.good[which].sum()) / ended if ended else 1.0


def _from_draws(mean: float, draws: F8, hours: int) -> Difference:
    low, high = np.quantile(draws, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0]).tolist()
    return Difference(mean, low, high, Method.HOURS, hours)


def _alone(mean: float) -> Difference:
    return Difference(mean, math.nan, math.nan, Method.NONE, 1)
