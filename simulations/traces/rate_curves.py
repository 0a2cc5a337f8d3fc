"""Rates over time, as steps, and the clocks that they make: how a day, a spike or a ramp becomes arrivals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulations.traces.randomness import stream
from simulations.traces.trace import Floats, TraceError

_STEPS_A_PERIOD = 288
_RAMP_STEPS = 1000
MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Requests per second: rates[i] from edges[i] to edges[i + 1], in seconds."""

    edges: Floats
    rates: Floats

    @property
    def expected(self) -> Floats:
        """Requests expected up to each edge."""
        return np.concatenate(([0.0], np.cumsum(self.rates * np.diff(self.edges))))


def constant(rate: float, span: float) -> RateCurve:
    """The same all the time."""
    return RateCurve(np.array([0.0, span]), np.array([rate]))


def sampled(span: float, edges: list[float], step: float) -> Floats:
    """Edges at every `step` seconds and at `edges`, within the span. Raises TraceError when there are too many."""
    if span / step > MOST_STEPS:
        raise TraceError(f"a span of {span:g} s has more than {MOST_STEPS} steps of {step:g} s")
    regular = np.arange(0.0, span, step)
    inside = [edge for edge in edges if 0.0 < edge < span]
    return np.unique(np.concatenate((regular, inside, [0.0, span])))


def diurnal(mean: float, peak: float, period: float, top: float, span: float) -> RateCurve:
    """A sine around `mean` that reaches `peak` times the mean at `top` seconds into each period."""
    edges = sampled(span, [], period / _STEPS_A_PERIOD)
    middle = (edges[:-1] + edges[1:]) / 2
    return RateCurve(edges, mean * (1.0 + (peak - 1.0) * np.cos(2.0 * math.pi * (middle - top) / period)))


def spike(base: float, height: float, at: float, width: float, every: float, span: float) -> RateCurve:
    """`height` for `width` seconds from `at` on, again each `every` seconds unless that is 0; else `base`."""
    starts = [at]
    if every > 0:
        if span / every > MOST_STEPS:
            raise TraceError(f"more than {MOST_STEPS} spikes: one every {every:g} s of {span:g} s")
        starts = list(np.arange(at, span, every))
    edges = sampled(span, [edge for start in starts for edge in (start, start + width)], span)
    middle = (edges[:-1] + edges[1:]) / 2
    since = (middle - at) % every if every > 0 else middle - at
    return RateCurve(edges, np.where((middle >= at) & (since < width) & (since >= 0), height, base))


def ramp(first: float, last: float, begin: float, end: float, span: float) -> RateCurve:
    """`first` until `begin`, then evenly to `last` at `end`, and `last` from there on."""
    edges = np.unique(np.concatenate(([0.0, span], np.clip(np.linspace(begin, end, _RAMP_STEPS + 1), 0.0, span))))
    middle = (edges[:-1] + edges[1:]) / 2
    return RateCurve(edges, np.interp(middle, [begin, end], [first, last]))


def switching(low: float, high: float, low_seconds: float, high_seconds: float, span: float, seed: int) -> RateCurve:
    """Two rates that take turns for exponential times of these means (MMPP); it begins low."""
    if span / (low_seconds + high_seconds) > MOST_STEPS / 4:
        raise TraceError(f"more than {MOST_STEPS / 4:g} turns of mean {low_seconds + high_seconds:g} s in {span:g} s")
    random, edges, at, turn = stream(seed, "states"), [0.0], 0.0, 0
    while at < span:
        at += float(random.exponential(low_seconds if turn % 2 == 0 else high_seconds))
        edges.append(min(at, span))
        turn += 1
    return RateCurve(np.array(edges), np.where(np.arange(len(edges) - 1) % 2 == 0, low, high).astype(np.float64))
