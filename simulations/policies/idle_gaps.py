"""Keep-alive that learns from idle times: the hazard rule, and the hybrid histogram.

While there is load, both order what it needs (⌈load / room⌉, the most of the last minute). They differ in what they do
once there is none: how long the last replica stays, and whether one comes back before anybody asks.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from simulations.plant.observed import Observed
from simulations.policies.activity import Activity
from simulations.policies.fixed import room
from simulations.policies.interface import Order
from simulations.policies.settings import BaseSettings, number, seconds, whole
from simulations.scenario import ServiceSpec

_BUSY_SECONDS = 60.0
_BIN_SECONDS = 60.0


class Stay(NamedTuple):
    """What to do with an idle service: there from the beginning of idleness up to `until`, and again from `back` up to
    `end`; all in seconds after that beginning. `back` ≥ `until`."""

    until: float
    back: float = math.inf
    end: float = math.inf

    def awake(self, idle: float) -> bool:
        """Whether it is there after so long."""
        return idle < self.until or self.back <= idle < self.end

    def next_change(self, idle: float) -> float:
        """The first change after so long, ∞ when there is none."""
        return min((each for each in self if each > idle), default=math.inf)


@dataclass(frozen=True, slots=True)
class HazardSettings(BaseSettings):
    """`penalty` is the one knob: what a cold start costs beyond the GPU that starts. Sweeping it draws the frontier."""

    min_replicas: int = whole(0, "never fewer replicas")
    penalty: float = seconds(600.0, "what one cold start is worth, in seconds of an idle replica")
    start: float = seconds(0.0, "time of a start until one has been measured")
    learn: int = whole(10, "idle times to learn from before it is believed", 1)
    memory: int = whole(500, "idle times that are remembered", 1, 10_000)


def best_stay(gaps: Sequence[float], cost: float) -> float:
    """τ that minimises E[min(X, τ)] + P(X > τ)·B over these sorted gaps X; B = `cost`, all in idle replica-seconds.

    The minimum lies at 0 or at one of the gaps: between two of them only the first term grows. The hazard rule of the
    literature (stay while h(x) ≥ 1 / B) is the same for gaps whose hazard falls. The first of equals is taken.
    """
    count = len(gaps)
    best, least = 0.0, cost * count
    for at, (gap, paid) in enumerate(zip(gaps, accumulate(gaps), strict=True), start=1):
        total = paid + (count - at) * (gap + cost)
        if total < least - 1e-9:
            best, least = gap, total
    return best


class Hazard:
    """Decides for one service by the rule above. Until it has learned, it stays for B: ski rental, never worse than
    twice the optimum."""

    urgent = True
    period = 1.0

    def __init__(self, settings: HazardSettings, service: ServiceSpec) -> None:
        """Nobody has come."""
        self._settings = settings
        self._activity = Activity(room(service))
        self._gaps: deque[float] = deque()
        self._sorted: list[float] = []
        self._stay = Stay(settings.start + settings.penalty)

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings = self._settings
        cost = settings.penalty + (observed.wake_seconds or settings.start)
        ended = self._activity.see(observed)
        for gap in ended:
            insort(self._sorted, gap)
            self._gaps.append(gap)
            if len(self._gaps) > settings.memory:
                self._sorted.remove(self._gaps.popleft())
        if len(self._sorted) < settings.learn:
            self._stay = Stay(cost)
        elif ended:
            # A second more than the gap itself: gaps are known to the second.
            longest = best_stay(self._sorted, cost)
            self._stay = Stay(longest + 1.0 if longest else 0.0)
        return _order(settings, self._activity, self._stay, observed)


@dataclass(frozen=True, slots=True)
class HybridSettings(BaseSettings):
    """The paper's numbers."""

    min_replicas: int = whole(0, "never fewer replicas")
    range: float = seconds(14_400.0, "idle times up to this long are counted, by the minute", 60.0)
    head: float = number(0.05, "quantile of idle times before which it comes back", 0.0, 1.0)
    tail: float = number(0.99, "quantile up to which it stays", 0.0, 1.0)
    margin: float = number(0.1, "of both", 0.0, 1.0)
    representative: float = number(2.0, "CV of the bins' counts from which the histogram is believed")
    forecast_margin: float = number(0.15, "of the forecast, where most idle times are longer than the range", 0.0, 1.0)


class Hybrid:
    """Hybrid histogram of Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020), section 4.2.

    Idle times in bins of a minute. Where their histogram is representative: gone at once, back at the head less its
    margin, there until the tail and its margin. Where it is not: there for the whole range. Where more than half of the
    idle times are longer than the range: back about the next expected one. The paper expects by ARIMA; here it is the
    mean of the last ten idle times, ARIMA(0,0,0), as arrivals so far apart are few.
    """

    urgent = True
    period = 1.0

    def __init__(self, settings: HybridSettings, service: ServiceSpec) -> None:
        """Nobody has come."""
        self._settings = settings
        self._activity = Activity(room(service))
        self._bins = [0] * math.ceil(settings.range / _BIN_SECONDS)
        self._outside = 0
        self._last: deque[float] = deque(maxlen=10)
        self._stay = Stay(settings.range)

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        ended = self._activity.see(observed)
        for gap in ended:
            self._last.append(gap)
            place = int(gap / _BIN_SECONDS)
            if place < len(self._bins):
                self._bins[place] += 1
            else:
                self._outside += 1
        if ended:
            self._stay = self._learned()
        return _order(self._settings, self._activity, self._stay, observed)

    def _learned(self) -> Stay:
        settings, inside = self._settings, sum(self._bins)
        if self._outside > inside:
            expected = sum(self._last) / len(self._last)
            back, end = expected * (1.0 - settings.forecast_margin), expected * (1.0 + settings.forecast_margin)
            return Stay(0.0, back, end)
        if coefficient_of_variation(self._bins) < settings.representative:
            return Stay(settings.range)
        head, tail = histogram_window(self._bins, settings.head, settings.tail)
        back = head * (1.0 - settings.margin)
        end = tail * (1.0 + settings.margin)
        return Stay(end) if back <= 0.0 else Stay(0.0, back, end)


def histogram_window(bins: Sequence[int], head: float, tail: float) -> tuple[float, float]:
    """The quantiles of what was counted by the minute, in seconds: the head rounded down, the tail rounded up."""
    total = sum(bins)
    reached = list(accumulate(bins))
    first = next(at for at, count in enumerate(reached) if count > 0 and count >= head * total)
    last = next(at for at, count in enumerate(reached) if count >= tail * total)
    return first * _BIN_SECONDS, (last + 1) * _BIN_SECONDS


def coefficient_of_variation(counts: Sequence[int]) -> float:
    """Standard deviation over mean; 0 where nothing was counted."""
    mean = sum(counts) / len(counts)
    if mean == 0.0:
        return 0.0
    return math.sqrt(sum((count - mean) ** 2 for count in counts) / len(counts)) / mean


def _order(settings: BaseSettings, activity: Activity, stay: Stay, observed: Observed) -> Order:
    """What load needs, or, without any, whether somebody stays."""
    now = observed.at
    since = activity.idle_since
    if since is None:
        return Order(settings.within(0), activator_in_path=settings.in_path, rests=True)
    needed = activity.needed(now, _BUSY_SECONDS)
    if activity.busy:
        return Order(settings.within(max(1, needed)), activator_in_path=settings.in_path)
    idle = max(0.0, now - since)
    awake = stay.awake(idle)
    # Who leaves at once leaves all; else those beside the last one go a minute after they were needed.
    wanted = settings.within(max(1, needed) if awake else 0)
    again = since + stay.next_change(idle)
    expiry = activity.next_expiry(_BUSY_SECONDS)
    return Order(
        wanted,
        activator_in_path=settings.in_path,
        again_at=again if expiry is None else min(again, expiry),
        rests=True,
    )
