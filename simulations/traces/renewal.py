"""Renewal processes: arrivals whose gaps are independent and alike, with the variation asked for.

All arrivals here are made in operational time, in which the rate is 1: a gap has mean 1, and a rate that changes is a
change of clock afterwards. A stretch begins in equilibrium, as if the process had been going on for ever; then the
expected number of arrivals is the length of the stretch, exactly, however bursty the gaps are, and stretches can be
made one by one, each from its own random numbers.
"""

from __future__ import annotations

import math
from enum import Enum
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from simulations.traces.trace import Floats

LEAST_CV, MOST_CV = 0.05, 50.0
_AT_ONCE = 1 << 20


class Gaps(Enum):
    """The family of a gap's distribution."""

    GAMMA = "gamma"
    WEIBULL = "weibull"


def renewals(random: np.random.Generator, length: float, cv: float, family: Gaps = Gaps.GAMMA) -> Floats:
    """Arrivals in [0, length) of a renewal process in equilibrium, of rate 1, whose gaps vary with `cv`."""
    cv = min(max(cv, LEAST_CV), MOST_CV)
    if cv == 1.0:
        return np.sort(random.random(random.poisson(length))) * length
    shape = 1.0 / (cv * cv) if family is Gaps.GAMMA else weibull_shape(cv)
    at = _residual(random, shape, family)
    parts = []
    while at < length:
        # Enough for all that is left, most often; the number of arrivals in t has a variance of about cv² t.
        likely = int((length - at) + 3.0 * cv * math.sqrt(length - at)) + 8
        gaps = _gaps(random, shape, family, min(likely, _AT_ONCE))
        times = np.concatenate(([at], at + np.cumsum(gaps)))
        parts.append(times[:-1])
        at = float(times[-1])
    together = np.concatenate(parts) if parts else np.empty(0)
    return together[: int(np.searchsorted(together, length, side="left"))]


@lru_cache(maxsize=4096)
def weibull_shape(cv: float) -> float:
    """The shape k with Γ(1+2/k)/Γ(1+1/k)² − 1 = cv²."""

    def over(log_k: float) -> float:
        k = math.exp(log_k)
        return math.lgamma(1.0 + 2.0 / k) - 2.0 * math.lgamma(1.0 + 1.0 / k) - math.log1p(cv * cv)

    return math.exp(float(brentq(over, math.log(0.05), math.log(100.0))))


def _gaps(random: np.random.Generator, shape: float, family: Gaps, count: int) -> Floats:
    """Gaps with mean 1."""
    if family is Gaps.GAMMA:
        return random.gamma(shape, 1.0 / shape, count)
    return random.weibull(shape, count) / math.gamma(1.0 + 1.0 / shape)


def _residual(random: np.random.Generator, shape: float, family: Gaps) -> float:
    """Time to the first arrival: what is left of a gap that was hit by its length."""
    if family is Gaps.GAMMA:
        hit = random.gamma(shape + 1.0, 1.0 / shape)
    else:
        # x f(x) of a Weibull distribution is, in y = x^k, a gamma density of shape 1 + 1/k.
        hit = random.gamma(1.0 + 1.0 / shape) ** (1.0 / shape) / math.gamma(1.0 + 1.0 / shape)
    return float(hit * random.random())
