"""llm-d's two ways of scaling: the saturation rule of its Workload Variant Autoscaler (WVA), and the SLO law that came
after it.

    WVA   a replica is saturated at KV use ≥ 0.80 or queue ≥ 5; spare = threshold − mean of those that are not;
          one more when spare KV < 0.10 or spare queue < 3, none while one is starting; one fewer when the load, spread
          over one replica less, still leaves that much. By its model: so many that α + β·batch ≤ ITL objective.
    SLO   s = mean over 45 s of min(2, max(TTFT / objective, TPOT / objective)), c = ready / wanted
          s > 0.55: n + ⌈n·(s·c/0.55 − 1)⌉        s < 0.40: n − ⌊n·(1 − s/0.40)⌋        between: n

Sources: llm-d-incubation/workload-variant-autoscaler (saturation analyser; model-based optimiser) and llm-d's guide
"SLO-aware workload autoscaling". `c` keeps load that starting pods will answer from being asked for twice.

The plant tells means over ready replicas, so replicas are taken to be alike: right where requests go to who has most
room. Latencies are not told as percentiles; the law is fed with the engine's α + β·batch for TPOT, and by Little's law
for TTFT: those who wait over the rate at which they are served.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulations.plant.observed import Observed
from simulations.policies.hpa_behavior import Behavior, BehaviorSettings
from simulations.policies.interface import Order
from simulations.policies.settings import BaseSettings, number, seconds, whole
from simulations.policies.windows import RecentValues
from simulations.scenario import ContinuousBatching, ServiceSpec


@dataclass(frozen=True, slots=True)
class WvaSettings(BaseSettings):
    """Thresholds of the saturation analyser; `itl` > 0 adds the model-based number."""

    kv_threshold: float = number(0.8, "KV use at which a replica is saturated", 0.01, 1.0)
    queue_threshold: float = number(5.0, "requests waiting in its engine at which it is")
    kv_spare: float = number(0.1, "one more below this spare KV use", 0.0, 1.0)
    queue_spare: float = number(3.0, "one more below this spare queue")
    itl: float = seconds(0.0, "objective for the time between tokens; 0: by saturation alone")
    interval: float = seconds(60.0, "GLOBAL_OPT_INTERVAL", 1.0)


class Wva:
    """Decides for one service."""

    urgent = False

    def __init__(self, settings: WvaSettings, service: ServiceSpec) -> None:
        """The model is the service's own, where it has one."""
        self._settings = settings
        self._most_batch = most_batch(service, settings.itl) if settings.itl > 0 else None
        self.period = self.memory = settings.interval

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings, pods = self._settings, observed.replicas
        wanted = pods.wanted
        coming = pods.starting + pods.pending + pods.failed
        if pods.ready > 0 and not coming:
            wanted = self._decide(observed, pods.ready)
        return Order(settings.within(wanted), activator_in_path=settings.in_path, idle_first=False)

    def _decide(self, observed: Observed, ready: int) -> int:
        settings = self._settings
        queue = observed.queued / ready
        if self._most_batch is not None:
            by_model = math.ceil((observed.engine_running + observed.queued) / self._most_batch - 1e-9)
            return max(1, min(by_model, 2 * ready))
        return saturation(settings, ready, observed.kv_cache_usage, queue)


def saturation(settings: WvaSettings, ready: int, kv: float, queue: float) -> int:
    """What the rule wants of replicas that have this mean KV use and queue each."""

    def spare(kv: float, queue: float) -> bool:
        saturated = kv >= settings.kv_threshold or queue >= settings.queue_threshold
        return not saturated and (
            settings.kv_threshold - kv >= settings.kv_spare and settings.queue_threshold - queue >= settings.queue_spare
        )

    if not spare(kv, queue):
        return ready + 1
    fewer = ready - 1
    if fewer > 0 and spare(kv * ready / fewer, queue * ready / fewer):
        return fewer
    return ready


def most_batch(service: ServiceSpec, itl: float) -> float | None:
    """The largest batch that keeps α + β·batch within the objective; None for a model that has no batches."""
    model = service.model
    if not isinstance(model, ContinuousBatching):
        return None
    if model.beta == 0.0:
        return float(model.slots)
    return min(float(model.slots), max(1.0, math.floor((itl - model.alpha) / model.beta + 1e-9)))


@dataclass(frozen=True, slots=True)
class SloLawSettings(BehaviorSettings):
    """The guide's numbers; its HPA changes at most +100 % or 4 in 60 s, and −1 in 120 s."""

    ttft: float = seconds(2.0, "objective for the time to the first token", 0.001)
    itl: float = seconds(0.05, "objective for the time per output token", 0.0001)
    up_above: float = number(0.55, "more above this share of the objective", 0.01, 2.0)
    down_below: float = number(0.40, "fewer below it", 0.0, 2.0)
    window: float = seconds(45.0, "over which the share is averaged", 1.0)
    up_window: float = seconds(30.0, "stabilisation upwards")
    up_period: float = seconds(60.0, "periodSeconds of these", 1.0)
    down_window: float = seconds(180.0, "stabilisation downwards")
    down_percent: float = number(0.0, "at most so many percent fewer in a period", 0.0, 100.0)
    down_pods: int = whole(1, "or so many pods")
    down_period: float = seconds(120.0, "periodSeconds of these", 1.0)
    interval: float = seconds(15.0, "between two decisions", 1.0)


def slo_law(settings: SloLawSettings, wanted: int, ready: int, share: float) -> int:
    """What the law wants of `wanted` replicas, of which so many are ready, at this share of the objective."""
    if share > settings.up_above:
        provisioned = ready / wanted if wanted else 1.0
        return wanted + max(0, math.ceil(wanted * (share * provisioned / settings.up_above - 1.0) - 1e-9))
    if share < settings.down_below:
        return wanted - math.floor(wanted * (1.0 - share / settings.down_below) + 1e-9)
    return wanted


class SloLaw:
    """Decides for one service."""

    urgent = False

    def __init__(self, settings: SloLawSettings, service: ServiceSpec) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._model = service.model if isinstance(service.model, ContinuousBatching) else None
        self._share = RecentValues(settings.window)
        self._behavior = Behavior(settings)
        self._completed = 0
        self._at = 0.0
        self.period = settings.interval
        self.memory = settings.window + settings.interval + self._behavior.memory

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings, pods, now = self._settings, observed.replicas, observed.at
        self._share.record(now, min(2.0, self._share_now(observed)))
        wanted = pods.wanted
        if wanted > 0 and pods.ready > 0:
            law = slo_law(settings, wanted, pods.ready, self._share.mean or 0.0)
            wanted = self._behavior.limited(now, wanted, max(1, law))
        return Order(settings.within(wanted), activator_in_path=settings.in_path, idle_first=False)

    def _share_now(self, observed: Observed) -> float:
        settings, ready = self._settings, max(1, observed.replicas.ready)
        rate = (observed.completed - self._completed) / max(1e-9, observed.at - self._at)
        self._completed, self._at = observed.completed, observed.at
        waiting = observed.queued + observed.held
        ttft = 0.0 if not waiting else waiting / rate if rate > 0 else math.inf
        token = self._model.alpha + self._model.beta * observed.engine_running / ready if self._model else 0.0
        busy = observed.engine_running > 0
        return max(ttft / settings.ttft, token / settings.itl if busy else 0.0)
