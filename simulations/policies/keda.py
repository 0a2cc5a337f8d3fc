"""KEDA: its operator turns 0 into 1 and 1 into 0, an HPA on an external metric with AverageValue does the rest.

    active  metric > activation threshold, asked every pollingInterval (30 s)
    0 → 1   when active          1 → 0   when it has not been active for cooldownPeriod (300 s)
    1..N    HPA: ⌈metric / target⌉, with its tolerance and behavior, every 15 s

Source: KEDA's pages "Scaling Deployments" and "ScaledObject specification" (defaults pollingInterval 30, cooldownPeriod
300, minReplicaCount 0, maxReplicaCount 100). The threshold has no default there; here it is 70 % of what a
replica takes. A metric of engines says nothing while there is no replica, and then KEDA wakes nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simulations.plant.observed import Observed
from simulations.policies.fixed import room
from simulations.policies.hpa import of_total
from simulations.policies.hpa_behavior import Behavior, BehaviorSettings
from simulations.policies.interface import Order
from simulations.policies.metrics import PodMetric, Scrapes, beat, due
from simulations.policies.settings import number, seconds, whole, word
from simulations.scenario import ServiceSpec


@dataclass(frozen=True, slots=True)
class KedaSettings(BehaviorSettings):
    """A ScaledObject with one trigger."""

    min_replicas: int = whole(0, "minReplicaCount")
    max_replicas: int = whole(100, "maxReplicaCount")
    metric: PodMetric = field(
        default=PodMetric.CONCURRENCY, metadata=word("metric, summed; concurrency and queue with what a gateway holds")
    )
    target: float = number(0.0, "threshold: wanted of each replica; 0: 70 % of what one takes")
    activation: float = number(0.0, "activationThreshold: active above it")
    polling: float = seconds(30.0, "pollingInterval", 1.0)
    cooldown: float = seconds(300.0, "cooldownPeriod")
    tolerance: float = number(0.1, "of the HPA", 0.0, 1.0)
    sync: float = seconds(15.0, "of the HPA", 1.0)
    scrape: float = seconds(15.0, "between two scrapes of the metric", 1.0)


class Keda:
    """Decides for one service."""

    urgent = False

    def __init__(self, settings: KedaSettings, service: ServiceSpec) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._target = settings.target or 0.7 * room(service)
        self._scrapes = Scrapes(settings.metric, settings.scrape, min(settings.sync, settings.polling), also_held=True)
        self._behavior = Behavior(settings)
        self._last_active = -math.inf  # of what was never active KEDA waits for no cooldown
        self.period = beat(settings.scrape, settings.sync, settings.polling)
        self._asleep = False

    @property
    def memory(self) -> float:
        """See Forgetful. At zero the operator alone is asked, and whether somebody is there is all that it looks at."""
        settings = self._settings
        asked = self._scrapes.memory + settings.polling
        return asked if self._asleep else asked + settings.cooldown + settings.sync + self._behavior.memory

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        self._scrapes.record(observed)
        settings, now, current = self._settings, observed.at, observed.replicas.wanted
        scraped = self._scrapes.last
        total = scraped.total if scraped is not None else 0.0
        wanted = current
        if scraped is not None and due(now, settings.polling):
            wanted = self._polled(now, current, total)
        if wanted == current and current > 0 and due(now, settings.sync) and scraped is not None:
            asked = max(1, of_total(current, total, self._target, settings.tolerance))
            wanted = max(1, self._behavior.limited(now, current, asked))
        self._asleep = wanted == current == 0
        return Order(wanted, activator_in_path=settings.in_path, idle_first=False)

    def _polled(self, now: float, current: int, total: float) -> int:
        """The operator's part."""
        settings = self._settings
        if total > settings.activation:
            self._last_active = now
            return max(1, current, settings.min_replicas)
        idle = now - self._last_active >= settings.cooldown
        if current > 0 and settings.min_replicas == 0 and idle:
            return 0
        return max(current, settings.min_replicas)
