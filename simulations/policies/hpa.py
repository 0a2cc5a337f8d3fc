"""Kubernetes' HorizontalPodAutoscaler (autoscaling/v2): its replica calculator, over one metric of pods.

    want = ⌈replicas · metric / target⌉, left alone within the tolerance; then `behavior` (see hpa_behavior)

Source: the page "Horizontal Pod Autoscaling" (algorithm details) and kube-controller-manager's
pkg/controller/podautoscaler/replica_calculator.go for what the page leaves open: pods that are starting or have no
metric count as idle when the rest asks for more and as on target when it asks for fewer, and where that would turn the
decision round, nothing happens. Without any metric nothing happens either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoscaler.signals.observation import ReplicaCounts
from simulations.plant.observed import Observed
from simulations.policies.hpa_behavior import Behavior, BehaviorSettings
from simulations.policies.interface import Order
from simulations.policies.metrics import PodMetric, Scraped, Scrapes, beat, due
from simulations.policies.settings import number, seconds, word


@dataclass(frozen=True, slots=True)
class HpaSettings(BehaviorSettings):
    """Defaults are those of the API and of kube-controller-manager; a metric left out means 80 % of CPU."""

    metric: PodMetric = field(default=PodMetric.UTILIZATION, metadata=word("metric of pods"))
    target: float = number(0.8, "wanted of each pod", 1e-6)
    tolerance: float = number(0.1, "share of the target within which nothing changes", 0.0, 1.0)
    sync: float = seconds(15.0, "between two decisions", 1.0)
    scrape: float = seconds(15.0, "between two scrapes of the metric", 1.0)


class Hpa:
    """Decides for one service."""

    urgent = False

    def __init__(self, settings: HpaSettings) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._scrapes = Scrapes(settings.metric, settings.scrape, settings.sync, also_held=False)
        self._behavior = Behavior(settings)
        self.period = beat(settings.scrape, settings.sync)
        self.memory = self._scrapes.memory + settings.sync + self._behavior.memory

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        self._scrapes.record(observed)
        current = observed.replicas.wanted
        if not due(observed.at, self._settings.sync):
            return Order(current, activator_in_path=self._settings.in_path, idle_first=False)
        return Order(self._decide(observed, current), activator_in_path=self._settings.in_path, idle_first=False)

    def _decide(self, observed: Observed, current: int) -> int:
        settings = self._settings
        if current == 0 and settings.min_replicas > 0:
            return 0  # an HPA leaves alone what somebody has scaled to zero
        if not settings.min_replicas <= current <= (settings.max_replicas or current):
            return settings.within(current)
        scraped = self._scrapes.last
        wanted = current
        if scraped is not None and scraped.pods > 0:
            wanted = per_pod(current, scraped, observed.replicas, settings.target, settings.tolerance)
        return self._behavior.limited(observed.at, current, wanted)


def per_pod(current: int, scraped: Scraped, pods: ReplicaCounts, target: float, tolerance: float) -> int:
    """What the calculator wants from a metric of pods (calcPlainMetricReplicas).

    Who was ready at the scrape has a metric. Who is pending counts as unready, who is starting as missing; those who
    end are left out.
    """
    measured = min(scraped.pods, pods.ready)
    if measured == 0:
        return current
    total = scraped.total * measured / scraped.pods
    missing = pods.starting + pods.ready - measured + pods.failed
    ratio = total / (measured * target)
    unready = pods.pending if ratio > 1.0 else 0
    if not unready and not missing:
        return current if within(ratio, tolerance) else _rounded_up(ratio * measured)
    counted = measured + missing + unready
    total += missing * target if ratio < 1.0 else 0.0
    damped = total / (counted * target)
    turned = (ratio < 1.0 < damped) or (damped < 1.0 < ratio)
    if within(damped, tolerance) or turned:
        return current
    wanted = _rounded_up(damped * counted)
    return current if (damped < 1.0 and wanted > current) or (damped > 1.0 and wanted < current) else wanted


def of_total(current: int, total: float, target: float, tolerance: float) -> int:
    """What the calculator wants from an external metric with an AverageValue (GetExternalPerPodMetricReplicas)."""
    if current > 0 and within(total / (target * current), tolerance):
        return current
    return _rounded_up(total / target)


def within(ratio: float, tolerance: float) -> bool:
    """Whether a ratio is near enough to 1 to be left alone."""
    return abs(1.0 - ratio) <= tolerance + 1e-12


def _rounded_up(value: float) -> int:
    """Ceiling; kubernetes computes in thousandths, so that dust from floating point is no replica."""
    return math.ceil(value - 1e-9)
