"""Medians with their range, quantiles, and ratios of what was measured in the same round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing. The median is what counts; the range says how much to trust it."""

    median: float
    lowest: float
    highest: float
    count: int

    def text(self, digits: int = 0) -> str:
        """`median (lowest–highest)`, or the median alone when it was measured once."""
        if self.count == 1:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.lowest:.{digits}f}–{self.highest:.{digits}f})"


def spread(values: Sequence[float]) -> Spread | None:
    """None when nothing was measured."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired(over: Mapping[int, float], under: Mapping[int, float]) -> Spread | None:
    """`over / under`, round by round: what disturbs a round disturbs both, and cancels.

    Rounds in which one is missing, or `under` is not positive, do not count; None when no round is left.
    """
    return spread([value / under[number] for number, value in over.items() if under.get(number, 0.0) > 0])


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed. Raises ValueError when there are none."""
    if not values:
        raise ValueError("no value has no quantile")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
