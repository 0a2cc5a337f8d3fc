"""AIBrix's PodAutoscaler: APA, and its own KPA, both on a metric of the pods' engines, read every ten seconds.

    APA   u = Σ metric / ready;  above target·(1 + up tolerance) or below target·(1 − down tolerance):
          ⌈ready · u / target⌉, at most ⌈ready · 2⌉, at least ⌊ready / 2⌋
    KPA   ⌈Σ metric / target⌉ over a stable and a panic window, with the same rates, Knative's panic mode, and the
          largest of the last `scale-down-delay` seconds

Source: vllm-project/aibrix, pkg/controller/podautoscaler (v0.2). Defaults are those of NewApaScalingContext,
NewKpaScalingContext and NewBaseScalingContext there. The ready that are counted, for rates and for APA's ratio,
include those that end, as they still pass their probe.

The metric is asked of every pod there is, those that start and those that end included, and where one does not answer
the turn is given up (podautoscaler_controller.go: updateMetricsForScale). So nothing is decided, and no value is
taken, from an order until its pods serve, or are gone: a burst is answered in steps of a start each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simulations.plant.observed import Observed
from simulations.policies.interface import Order
from simulations.policies.metrics import PodMetric, sum_over_pods
from simulations.policies.settings import BaseSettings, number, seconds, word
from simulations.policies.windows import RecentMost, RecentValues


@dataclass(frozen=True, slots=True)
class AibrixSettings(BaseSettings):
    """What both have."""

    metric: PodMetric = field(default=PodMetric.KV, metadata=word("metric of pods"))
    target: float = number(0.5, "wanted of each pod", 1e-6)
    up_rate: float = number(2.0, "max-scale-up-rate: at most this many times what is ready", 1.0)
    down_rate: float = number(2.0, "max-scale-down-rate: at least what is ready over this", 1.0)
    resync: float = seconds(10.0, "between two decisions", 1.0)
    answers: float = seconds(0.0, "from an order to its pods answering, before which nothing is decided; 0: till ready")


class Answers:
    """Whether all pods of a service answer when they are asked for their metric."""

    __slots__ = ("_after", "_ordered_at")

    def __init__(self, after: float) -> None:
        """`after`: seconds from an order to its pods answering, 0: until they are ready."""
        self._after = after
        self._ordered_at = -math.inf

    def of_all(self, observed: Observed) -> bool:
        """Now. Who starts again after a failure, and who ends, does not answer."""
        pods = observed.replicas
        if pods.draining or pods.failed:
            return False
        return not (pods.starting or pods.pending) or 0.0 < self._after <= observed.at - self._ordered_at

    def ordered(self, observed: Observed, replicas: int) -> int:
        """So many are ordered now; the same number."""
        if replicas > observed.replicas.wanted:
            self._ordered_at = observed.at
        return replicas


@dataclass(frozen=True, slots=True)
class ApaSettings(AibrixSettings):
    """Tolerances and the window of APA."""

    up_tolerance: float = number(0.1, "up-fluctuation-tolerance")
    down_tolerance: float = number(0.2, "down-fluctuation-tolerance", 0.0, 1.0)
    window: float = seconds(60.0, "window over which the metric is averaged", 1.0)


@dataclass(frozen=True, slots=True)
class AibrixKpaSettings(AibrixSettings):
    """Windows and delay of its KPA."""

    stable_window: float = seconds(60.0, "stable-window", 1.0)
    panic_window: float = seconds(10.0, "panic-window", 1.0)
    panic_threshold: float = number(2.0, "panic above this many times what is ready")
    scale_down_delay: float = seconds(1800.0, "fewer only after so long")


def apa(settings: ApaSettings, ready: int, per_pod: float) -> int:
    """How many APA wants of `ready` pods that have so much of the metric each (ComputeTargetReplicas)."""
    ratio = per_pod / settings.target
    if ratio > 1.0 + settings.up_tolerance:
        return min(math.ceil(ready * ratio), math.ceil(ready * settings.up_rate))
    if ratio < 1.0 - settings.down_tolerance:
        return max(math.ceil(ready * ratio), math.floor(ready / settings.down_rate))
    return ready


class Apa:
    """Decides for one service."""

    urgent = False

    def __init__(self, settings: ApaSettings) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._answers = Answers(settings.answers)
        self._window = RecentValues(settings.window)
        self.period = settings.resync
        self.memory = settings.window + settings.resync

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings, pods = self._settings, observed.replicas
        wanted, ready = pods.wanted, _ready(observed)
        if pods.ready > 0 and self._answers.of_all(observed):
            self._window.record(observed.at, sum_over_pods(settings.metric, observed))
            wanted = settings.within(apa(settings, ready, (self._window.mean or 0.0) / ready))
        replicas = self._answers.ordered(observed, wanted)
        return Order(replicas, activator_in_path=settings.in_path, idle_first=False)


class AibrixKpa:
    """Decides for one service."""

    urgent = False

    def __init__(self, settings: AibrixKpaSettings) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._answers = Answers(settings.answers)
        self._stable, self._panic = RecentValues(settings.stable_window), RecentValues(settings.panic_window)
        self._delay = RecentMost(settings.scale_down_delay) if settings.scale_down_delay > 0 else None
        self._panic_since: float | None = None
        self._most_in_panic = 0
        self._begun = False
        self.period = settings.resync
        # Panic lasts for a stable window from when the panic window last asked for it.
        self.memory = 2.0 * settings.stable_window + settings.panic_window + settings.scale_down_delay + settings.resync

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings, pods, now = self._settings, observed.replicas, observed.at
        if not self._begun:
            self._begun = True
            self._most_in_panic = pods.ready
            self._panic_since = now if pods.ready > 1 else None
        if not self._answers.of_all(observed):
            return Order(pods.wanted, activator_in_path=settings.in_path, idle_first=False)
        total = sum_over_pods(settings.metric, observed)
        self._stable.record(now, total)
        self._panic.record(now, total)
        wanted = float(self._panicking(now, _ready(observed)))
        if self._delay is not None:
            wanted = self._delay.record(now, wanted)
        replicas = self._answers.ordered(observed, settings.within(int(wanted)))
        return Order(replicas, activator_in_path=settings.in_path, idle_first=False)

    def _panicking(self, now: float, ready: int) -> int:
        """Follow panic; what is wanted before the delay."""
        settings = self._settings
        stable = math.ceil((self._stable.mean or 0.0) / settings.target)
        panic = math.ceil((self._panic.mean or 0.0) / settings.target)
        if panic / max(1, ready) >= settings.panic_threshold:
            self._panic_since = now
        elif self._panic_since is not None and self._panic_since + settings.stable_window < now:
            self._panic_since, self._most_in_panic = None, 0
        wanted = self._by_rate(ready, stable)
        if self._panic_since is None:
            return wanted
        self._most_in_panic = max(self._most_in_panic, wanted, self._by_rate(ready, panic))
        return self._most_in_panic

    def _by_rate(self, ready: int, wanted: int) -> int:
        most = max(1, math.ceil(self._settings.up_rate * ready))
        return min(max(wanted, math.floor(ready / self._settings.down_rate)), most)


def _ready(observed: Observed) -> int:
    return observed.replicas.ready + observed.replicas.draining
