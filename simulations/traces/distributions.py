"""Named distributions, as they are written on a command line: `lognormal(1.5,6)`, `fixed(2)`, `exponential(0.4)`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from simulations.traces.trace import Floats, TraceError

Z_95 = 1.6448536269514722
_TEXT = re.compile(r"(?P<name>[a-z]+)\((?P<numbers>[^()]*)\)")
_MOST = 1e9


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of positive numbers: a family by name, with its parameters in the order of `FAMILIES`."""

    name: str
    parameters: tuple[float, ...]

    def draw(self, random: np.random.Generator, count: int) -> Floats:
        """Independent values."""
        drawn = FAMILIES[self.name].draw(random, count, self.parameters)
        return np.minimum(drawn, _MOST)

    def __str__(self) -> str:
        return f"{self.name}({','.join(f'{parameter:g}' for parameter in self.parameters)})"


@dataclass(frozen=True, slots=True)
class Family:
    """What one name means: its parameters, what they must be, and how to draw."""

    parameters: tuple[str, ...]
    allowed: str
    check: Callable[[tuple[float, ...]], bool]
    draw: Callable[[np.random.Generator, int, tuple[float, ...]], Floats]


def lognormal_sigma(median: float, p95: float) -> float:
    """σ of ln X for a lognormal X with this median and 95th percentile: ln(p95 / median) / z(0.95)."""
    return math.log(p95 / median) / Z_95


def _lognormal(random: np.random.Generator, count: int, given: tuple[float, ...]) -> Floats:
    return given[0] * np.exp(lognormal_sigma(given[0], given[1]) * random.standard_normal(count))


def _gamma(random: np.random.Generator, count: int, given: tuple[float, ...]) -> Floats:
    mean, cv = given
    return np.asarray(random.gamma(1.0 / (cv * cv), mean * cv * cv, count))


def _pareto(random: np.random.Generator, count: int, given: tuple[float, ...]) -> Floats:
    least, alpha = given
    return np.asarray(least * (1.0 + random.pareto(alpha, count)))


FAMILIES: Mapping[str, Family] = {
    "fixed": Family(("value",), "value ≥ 0", lambda p: p[0] >= 0, lambda _, count, p: np.full(count, p[0])),
    "exponential": Family(
        ("mean",), "mean > 0", lambda p: p[0] > 0, lambda random, count, p: np.asarray(random.exponential(p[0], count))
    ),
    "uniform": Family(
        ("least", "most"),
        "0 ≤ least ≤ most",
        lambda p: 0 <= p[0] <= p[1],
        lambda random, count, p: p[0] + (p[1] - p[0]) * random.random(count),
    ),
    "lognormal": Family(("median", "p95"), "0 < median ≤ p95", lambda p: 0 < p[0] <= p[1], _lognormal),
    "gamma": Family(("mean", "cv"), "mean > 0 and 0.01 ≤ cv ≤ 50", lambda p: p[0] > 0 and 0.01 <= p[1] <= 50, _gamma),
    "pareto": Family(("least", "alpha"), "least > 0 and alpha > 0.1", lambda p: p[0] > 0 and p[1] > 0.1, _pareto),
}


def parse_distribution(text: str) -> Distribution:
    """Raises TraceError, with what is allowed. A plain number is `fixed`."""
    text = text.strip()
    try:
        return _checked("fixed", (float(text),), text)
    except ValueError:
        pass
    match = _TEXT.fullmatch(text)
    if match is None or match["name"] not in FAMILIES:
        raise TraceError(f"{text!r:.80} is not a distribution; there are a number, {_signatures()}")
    try:
        numbers = tuple(float(number) for number in match["numbers"].split(","))
    except ValueError:
        numbers = ()
    return _checked(match["name"], numbers, text)


def _checked(name: str, numbers: tuple[float, ...], text: str) -> Distribution:
    family = FAMILIES[name]
    whole = len(numbers) == len(family.parameters) and all(math.isfinite(n) and abs(n) <= _MOST for n in numbers)
    if not whole or not family.check(numbers):
        raise TraceError(f"{text!r:.80}: {name}({','.join(family.parameters)}) needs {family.allowed}")
    return Distribution(name, numbers)


def _signatures() -> str:
    return ", ".join(f"{name}({','.join(family.parameters)})" for name, family in FAMILIES.items())
