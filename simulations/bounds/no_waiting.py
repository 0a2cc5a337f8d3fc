"""The cheapest plan in which no request ever waits, for one who knows all of them beforehand. Exact.

Replicas are needed as a step function D(t). The cost is GPU-seconds on plus L for each start, during which the GPU is
held but does not serve. Taken by levels, replica k is needed while D ≥ k, and levels are independent: across a gap g in
its level a replica either stays on for g or ends and is started again for L + p, where p is any further price of a
start. So the optimum is the sum over all gaps of min(g, L + p), with L for each level's first start and the time in
which it is needed. A start begins L before it is needed, so no request is cold: every policy that serves everybody at
once costs at least this much.

Work in slots: a replica takes `slots` requests at a time, and D = ⌈requests in service / slots⌉. Requests that stay on
their replica may need more; this remains a lower bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulations.traces.trace import Floats

Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bound:
    """What the optimum costs, in replica-seconds.

    needed    time in which D ≥ k, over all k: nobody can do with less
    idle      time in which replicas stay on between uses, because that is cheaper than a start
    starting  L for each start
    starts    how many; price: what starts cost beside their time, in the same unit
    """

    needed: float
    idle: float
    starting: float
    starts: int
    price: float = 0.0

    @property
    def replica_seconds(self) -> float:
        """Time that is paid for."""
        return self.needed + self.idle + self.starting

    @property
    def cost(self) -> float:
        """What was minimised: paid time, and the price of starts."""
        return self.replica_seconds + self.price

    def __add__(self, other: Bound) -> Bound:
        return Bound(
            self.needed + other.needed,
            self.idle + other.idle,
            self.starting + other.starting,
            self.starts + other.starts,
            self.price + other.price,
        )


NOTHING = Bound(0.0, 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Demand:
    """Replicas needed over time: replicas[i] from at[i] to at[i + 1]; none before at[0]; the last is 0."""

    at: Floats
    replicas: Counts

    @property
    def peak(self) -> int:
        """The most at any time."""
        return int(self.replicas.max(initial=0))


def demand_of_requests(arrival: Floats, seconds: Floats, slots: int = 1) -> Demand:
    """What is needed if every request is served from its arrival on for `seconds`."""
    times = np.concatenate((arrival, arrival + seconds))
    change = np.concatenate((np.ones(len(arrival), np.int64), -np.ones(len(arrival), np.int64)))
    order = np.argsort(times, kind="stable")
    times, running = times[order], np.cumsum(change[order])
    # Of several changes at one instant only the last counts: a request that ends as one comes hands over its slot.
    last = np.append(times[1:] != times[:-1], True) if len(times) else np.empty(0, np.bool_)
    return _stepwise(times[last], -(-running[last] // slots))


class CheapestPlan:
    """The optimum, found while demand is told of piece by piece: what it takes to know is when each level last changed,
    so memory is that of the levels and not of the time."""

    def __init__(self, start_seconds: float, start_price: float = 0.0, *, there_from: float = math.nan) -> None:
        """`start_price` is in replica-seconds. `there_from`: since when as many replicas as are ever needed stand ready
        that nobody had to start; NaN: there is none."""
        self._start, self._price, self._there_from = start_seconds, start_price, there_from
        self._changed = np.empty(0)  # when each level last rose or fell
        self._replicas, self._starts = 0, 0
        self._needed, self._idle = 0.0, 0.0

    def take(self, piece: Demand) -> None:
        """The next steps of demand, which are later than all before them. O(N log N) in the changes of all levels."""
        if not len(piece.at):
            return
        level, at, rises = _changes(piece, self._replicas)
        order = np.lexsort((at, level))
        level, at, rises = level[order], at[order], rises[order]
        new = int(level[-1]) + 1 - len(self._changed)
        if new > 0:
            self._changed = np.concatenate((self._changed, np.full(new, self._there_from)))
        # Each level's changes are rise, fall, rise, fall, …; the first of a piece follows the last of those before it.
        first = np.append(True, level[1:] != level[:-1])
        lasted = at - np.where(first, self._changed[level], np.roll(at, 1))
        gaps = lasted[rises]
        stays = gaps < self._start + self._price
        self._needed += float(lasted[~rises].sum())
        self._idle += float(gaps[stays].sum())
        self._starts += int(np.sum(~stays))
        last = np.append(first[1:], True)
        self._changed[level[last]] = at[last]
        self._replicas = int(piece.replicas[-1])

    def bound(self, until: float = math.nan) -> Bound:
        """What it costs; `until`: where what is still needed then ends."""
        needed = self._needed + (float((until - self._changed[: self._replicas]).sum()) if self._replicas else 0.0)
        return Bound(needed, self._idle, self._starts * self._start, self._starts, self._starts * self._price)


def clairvoyant(demand: Demand, start_seconds: float, start_price: float = 0.0) -> Bound:
    """The optimum for the whole of a demand."""
    plan = CheapestPlan(start_seconds, start_price)
    plan.take(demand)
    return plan.bound()


def always_on(demand: Demand, span: float) -> float:
    """Replica-seconds of as many replicas as are ever needed, all the time."""
    return demand.peak * span


def keep_alive(demand: Demand, start_seconds: float, keep_seconds: float) -> tuple[Bound, float]:
    """What keeping each level's replica for a fixed time costs, and the share of rises that find it gone.

    With `keep_seconds` = L this is ski rental, which never costs more than twice the optimum. Requests that find
    nothing are taken to be served as if they had not waited: the figure is for comparing timers with the bound.
    """
    if demand.peak == 0:
        return NOTHING, 0.0
    level, at, rises = _changes(demand)
    order = np.lexsort((at, level))
    level, at, rises = level[order], at[order], rises[order]
    again = rises[1:] & (level[1:] == level[:-1])
    gaps = (at[1:] - at[:-1])[again]
    kept = gaps <= keep_seconds
    starts = demand.peak + int(np.sum(~kept))
    idle = float(gaps[kept].sum()) + starts * keep_seconds
    needed = float(np.sum(at[~rises]) - np.sum(at[rises]))
    return Bound(needed, idle, starts * start_seconds, starts), starts / int(rises.sum())


def _stepwise(at: Floats, replicas: Counts) -> Demand:
    changed = np.diff(replicas, prepend=0) != 0
    return Demand(at[changed], replicas[changed])


def _changes(demand: Demand, first: int = 0) -> tuple[Counts, Floats, NDArray[np.bool_]]:
    """Every change of every level: which level, when, and whether it rises. `first`: replicas before all of it."""
    before = np.concatenate((np.array([first], np.int64), demand.replicas[:-1]))
    size = np.abs(demand.replicas - before)
    which = np.repeat(np.arange(len(size)), size)
    within = np.arange(len(which)) - np.repeat(np.cumsum(size) - size, size)
    level = np.minimum(before, demand.replicas)[which] + within
    return level, demand.at[which], (demand.replicas > before)[which]


def gpu_hours(replica_seconds: float) -> float:
    """Hours of replicas of one GPU; NaN stays NaN."""
    return replica_seconds / 3600.0
