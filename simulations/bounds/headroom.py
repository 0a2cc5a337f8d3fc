"""Headroom: can any reactive policy hold a load, given how long a replica takes to start?

A policy that only reacts sees a ramp when it is there and has new replicas L seconds later. Until then it lives on what
stands idle: at occupancy ρ a load that becomes x times as much within t reaches capacity after t(1 − ρ)/(ρ(x − 1))
seconds. If that is less than L, requests wait whatever the policy; ρ would have to be at most t/(t + L(x − 1)), or
something must know of the ramp before it comes. That is arithmetic and not an opinion on any policy, so it is worth
asking before choosing one.

The load is the number of requests that would be in service if none waited, averaged over windows that are as long as
the ramps looked for: what a policy can react to is an average, and chance within it is what the sizing is for. Where a
service is idle, or nearly, there is no ramp but a wake: the first request waits for the whole start, and only keeping
a replica or knowing of it beforehand helps. A base of less than one replica's share counts as that.

A steady load of R requests in service fluctuates by √R, and its mean over a window of w seconds by √(R·min(1, s/w)),
with s = E[S²]/E[S] of the durations S (M/G/∞). A window that is above the one before it, and above the mean of the
whole trace, by no more than four times that is chance, which the square-root rule provides for, and no ramp. Compared
are square roots, which fluctuate by half as much whatever R is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulations.bounds.queueing import servers_by_erlang_c, servers_by_square_root
from simulations.bounds.service_seconds import ServiceSeconds
from simulations.traces.trace import Floats, Trace

_MOST_BINS = 4_000_000
_MOST_CELLS = 30_000_000  # bins of all services together, 8 bytes each
_RAMP_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the start-up; longer ramps are easier, by the formula
_LEAST_RAMP = 1.0
_CHANCE = 4.0


@dataclass(frozen=True, slots=True)
class Question:
    """What headroom is asked for.

    start_seconds     L, from order to readiness
    occupancy         ρ, the share of slots in use that a policy aims for
    slots             requests that a replica serves at a time
    wait_probability  share of requests that may wait when the load is steady
    """

    start_seconds: float
    occupancy: float = 0.7
    slots: int = 1
    wait_probability: float = 0.05


@dataclass(frozen=True, slots=True)
class Ramp:
    """One rise of load. Times in seconds of the trace, loads in requests in service.

    slack      seconds until what runs at ρ is full; inf where it never is
    occupancy  the highest ρ at which the slack is as long as a start
    """

    service: str
    at: float
    seconds: float
    before: float
    after: float
    slack: float
    occupancy: float

    @property
    def factor(self) -> float:
        """How many times the load becomes."""
        return self.after / self.before


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a service's busiest stretch needs when it is steady.

    offered      requests in service, the most over any window of the length of a start
    replicas     by occupancy alone; by_square_root, by_erlang_c: so that few requests wait
    wakes        times at which a request came and none had been in service for longer than a start
    """

    service: str
    mean: float
    offered: float
    replicas: int
    by_square_root: int
    by_erlang_c: int
    wakes: int


@dataclass(frozen=True, slots=True)
class Headroom:
    """The answer. `ramps` are the worst of each service, the worst first; `unmet` of all that were looked at."""

    question: Question
    ramps: tuple[Ramp, ...]
    sizing: tuple[Sizing, ...]

    @property
    def occupancy_needed(self) -> float:
        """The highest occupancy at which a reactive policy holds every ramp; 1 when there is no ramp."""
        return min((ramp.occupancy for ramp in self.ramps), default=1.0)

    @property
    def holds(self) -> bool:
        """No ramp is faster than a start at the occupancy that was asked for."""
        return all(ramp.slack >= self.question.start_seconds for ramp in self.ramps)

    @property
    def start_needed(self) -> float:
        """The longest start-up at which every ramp is held at that occupancy."""
        return min((ramp.slack for ramp in self.ramps), default=math.inf)


def slack_seconds(occupancy: float, factor: float, ramp_seconds: float) -> float:
    """t(1 − ρ)/(ρ(x − 1)): how long what is idle at ρ lasts in a ramp to x times within t; inf if it never ends."""
    if factor <= 1.0 or occupancy * factor <= 1.0:
        return math.inf  # what there is at ρ is enough for all of it
    return ramp_seconds * (1.0 - occupancy) / (occupancy * (factor - 1.0))


def occupancy_needed(start_seconds: float, factor: float, ramp_seconds: float) -> float:
    """The highest ρ that holds the ramp: t/(t + L(x − 1)), or 1/x where spare capacity for all of it is less."""
    if factor <= 1.0:
        return 1.0
    return max(ramp_seconds / (ramp_seconds + start_seconds * (factor - 1.0)), 1.0 / factor)


def headroom(trace: Trace, question: Question, seconds: ServiceSeconds, worst: int = 10) -> Headroom:
    """Look through a trace. `seconds` says how long requests take. Raises TraceError."""
    bins = _Bins.of(trace, question, seconds)
    ramps: list[Ramp] = []
    sizing = []
    for service, name in enumerate(trace.services):
        load = bins.load(service)
        if not load.any():
            continue
        ramps += _ramps(name, load, bins, service, question, worst)
        sizing.append(_sizing(name, load, bins, service, question))
    ramps.sort(key=lambda ramp: (ramp.occupancy, ramp.slack, ramp.at))
    sizing.sort(key=lambda size: -size.offered)
    return Headroom(question, tuple(ramps[:worst]), tuple(sizing))


@dataclass(frozen=True, slots=True)
class _Bins:
    """Seconds in service in each bin, of all services that had requests.

    warm  bins at the beginning that say too little: a trace that begins in the middle of its load shows it rising from
          nothing, because what was in service before is not in it
    correlated  seconds over which the load in service stays alike by itself: Σ duration² / Σ duration
    """

    width: float
    busy: dict[int, Floats]
    wakes: dict[int, int]
    warm: dict[int, int]
    correlated: dict[int, float]

    @classmethod
    def of(cls, trace: Trace, question: Question, seconds: ServiceSeconds) -> _Bins:
        width = max(_LEAST_RAMP / 4, question.start_seconds * _RAMP_LENGTHS[0] / 2)
        width = max(width, trace.span * len(trace.services) / _MOST_CELLS, trace.span / _MOST_BINS)
        bins = max(1, math.ceil(trace.span / width))
        busy: dict[int, Floats] = {}
        wakes: dict[int, int] = {}
        free_since: dict[int, float] = {}
        begun: dict[int, float] = {}
        work: dict[int, tuple[int, float, float]] = {}
        for rows in trace.chunks():
            took = seconds.of(rows)
            for service in np.unique(rows.service).tolist():
                own = rows.service == service
                arrival, duration = rows.arrival[own], took[own]
                _add(busy.setdefault(service, np.zeros(bins)), arrival, duration, width)
                ends = np.maximum.accumulate(arrival + duration)
                free = free_since.get(service, 0.0)
                before = np.maximum(np.concatenate(([free], ends[:-1])), free)
                wakes[service] = wakes.get(service, 0) + int(np.sum(arrival - before > question.start_seconds))
                free_since[service] = max(free, float(ends[-1]))
                begun.setdefault(service, float(arrival[0]))
                count, total, squares = work.get(service, (0, 0.0, 0.0))
                squares += float(duration @ duration)
                work[service] = count + len(arrival), total + float(duration.sum()), squares
        warm = {
            service: math.ceil(3.0 * total / count / width) if begun[service] < question.start_seconds else 0
            for service, (count, total, _) in work.items()
        }
        correlated = {service: squares / total if total else 0.0 for service, (_, total, squares) in work.items()}
        return cls(width, busy, wakes, warm, correlated)

    def load(self, service: int) -> Floats:
        """Mean requests in service in each bin."""
        return self.busy[service] / self.width if service in self.busy else np.zeros(0)


def _add(busy: Floats, arrival: Floats, seconds: Floats, width: float) -> None:
    """Add each request's time in service to the bins it lies in; what lies after the last bin is left out."""
    bins = len(busy)
    end = np.minimum(arrival + seconds, bins * width * (1.0 - 1e-12))
    arrival = np.minimum(arrival, end)
    first, last = (arrival / width).astype(np.int64), (end / width).astype(np.int64)
    begun = np.bincount(first, minlength=bins)[:bins]
    whole = np.cumsum(begun - np.bincount(last + 1, minlength=bins + 1)[:bins])
    before = np.bincount(first, arrival - first * width, bins)[:bins]
    after = np.bincount(last, (last + 1) * width - end, bins)[:bins]
    busy += np.maximum(whole * width - before - after, 0.0)


def _ramps(name: str, load: Floats, bins: _Bins, service: int, question: Question, worst: int) -> list[Ramp]:
    """The worst ramps of a service, none overlapping another that is worse."""
    floor, width, warm = question.occupancy * question.slots, bins.width, bins.warm.get(service, 0)
    usual = float(load.mean())
    load = load[warm:]
    total = np.concatenate(([0.0], np.cumsum(load)))
    found: list[Ramp] = []
    for times in _RAMP_LENGTHS:
        length = max(1, round(max(_LEAST_RAMP, question.start_seconds * times) / width))
        if 2 * length > len(load):
            continue
        mean = (total[length:] - total[:-length]) / length
        # From the mean of one window to that of the next one: their middles are `length` bins apart.
        early, after = mean[:-length], mean[length:]
        chance = _CHANCE / 2.0 * math.sqrt(min(1.0, bins.correlated[service] / (length * width)))
        rises = np.sqrt(after) - np.sqrt(np.maximum(early, usual)) > chance
        before = np.maximum(early, floor)
        factor = np.where(rises, after / before, 0.0)
        for at in _worst(factor, length, worst):
            x, t = float(factor[at]), length * width
            found.append(
                Ramp(
                    service=name,
                    at=(warm + at + length) * width,
                    seconds=t,
                    before=float(before[at]),
                    after=float(after[at]),
                    slack=slack_seconds(question.occupancy, x, t),
                    occupancy=occupancy_needed(question.start_seconds, x, t),
                )
            )
    found.sort(key=lambda ramp: (ramp.occupancy, ramp.slack, ramp.at))
    apart: list[Ramp] = []
    for ramp in found:
        if all(abs(ramp.at - other.at) > max(ramp.seconds, other.seconds) for other in apart):
            apart.append(ramp)
    return apart[:worst]


def _worst(factor: Floats, length: int, worst: int) -> list[int]:
    """Places of the largest factors above 1, at least a ramp apart."""
    blocks = -(-len(factor) // length)
    padded = np.full(blocks * length, 0.0)
    padded[: len(factor)] = factor
    rows = padded.reshape(blocks, length)
    best = rows.argmax(axis=1)
    tops = rows[np.arange(blocks), best]
    order = np.argsort(-tops, kind="stable")[: 2 * worst]
    return [int(block * length + best[block]) for block in order if tops[block] > 1.0]


def _sizing(name: str, load: Floats, bins: _Bins, service: int, question: Question) -> Sizing:
    length = min(len(load), max(1, round(question.start_seconds / bins.width)))
    total = np.concatenate(([0.0], np.cumsum(load)))
    offered = float(((total[length:] - total[:-length]) / length).max())
    slots = question.slots
    return Sizing(
        service=name,
        mean=float(load.mean()),
        offered=offered,
        replicas=math.ceil(offered / (slots * question.occupancy)),
        by_square_root=math.ceil(servers_by_square_root(offered, question.wait_probability) / slots),
        by_erlang_c=math.ceil(servers_by_erlang_c(offered, question.wait_probability) / slots),
        wakes=bins.wakes.get(service, 0),
    )
