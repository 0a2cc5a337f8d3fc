"""Knative's autoscaler (KPA): the product's own Decider with a policy in Knative's terms, and our differences all off.

That code is held to Knative's published numbers rule by rule (`tests/conformance`), so there is no second copy of it.
Defaults are those of config-autoscaler: container-concurrency-target-default 100 at 70 %, stable window 60 s, panic
window 10 % at 200 %, rates 1000 and 2, scale-to-zero-grace-period 30 s; it decides every 2 s (tick-interval).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.policy.scaling_policy import Improvements, Metric, ScalingPolicy, Switch
from simulations.policies.pilotlight import Pilotlight
from simulations.policies.settings import BaseSettings, number, seconds, whole, word
from simulations.scenario import ServiceSpec

TICK_SECONDS = 2.0
PURE = Improvements(starting_replicas_count=False, backlog_sizing=False, one_before_zero=False, throughput_floor=False)


@dataclass(frozen=True, slots=True)
class KnativeSettings(BaseSettings):
    """Named as the annotations of autoscaling.knative.dev are."""

    min_replicas: int = whole(0, "min-scale")
    metric: Metric = field(default=Metric.CONCURRENCY, metadata=word("what a replica has a target of"))
    target: float = number(0.0, "of one replica; 0: its limit, or 100 (rps: 200) without one")
    target_utilization: float = number(0.7, "share of the target at which a replica counts as full", 0.01, 1.0)
    stable_window: float = seconds(60.0, "window that decides as a rule", 6.0)
    panic_window: float = number(0.1, "panic window as a share of it", 0.01, 1.0)
    panic_threshold: float = number(2.0, "panic above this many times what is ready", 1.1, 10.0)
    max_scale_up_rate: float = number(1000.0, "at most this many times what is ready", 1.01)
    max_scale_down_rate: float = number(2.0, "at least what is ready over this", 1.01)
    scale_down_delay: float = seconds(0.0, "fewer only after so long")
    scale_to_zero: Switch = field(default=Switch.ON, metadata=word("enable-scale-to-zero"))
    scale_to_zero_grace: float = seconds(30.0, "from the activator being asked in to zero, at most", 6.0)
    scale_to_zero_retention: float = seconds(0.0, "the last replica stays at least so long")
    initial_scale: int = whole(1, "replicas at first")
    activation_scale: int = whole(1, "replicas when it is woken", 1)
    target_burst_capacity: float = number(211.0, "−1: the activator always in the path; 0: only at zero", -1.0)

    def policy(self, service: ServiceSpec) -> ScalingPolicy:
        """The same in the product's terms."""
        default = 200.0 if self.metric is Metric.RPS else 100.0
        by_limit = float(service.limit) if service.limit and self.metric is Metric.CONCURRENCY else default
        return ScalingPolicy(
            metric=self.metric,
            target=self.target or by_limit,
            target_utilization=self.target_utilization,
            container_concurrency=service.limit,
            min_replicas=self.min_replicas,
            max_replicas=self.max_replicas,
            initial_scale=max(self.initial_scale, self.min_replicas),
            activation_scale=self.activation_scale,
            stable_window_seconds=self.stable_window,
            panic_window_fraction=self.panic_window,
            panic_threshold=self.panic_threshold,
            max_scale_up_rate=self.max_scale_up_rate,
            max_scale_down_rate=self.max_scale_down_rate,
            scale_down_delay_seconds=self.scale_down_delay,
            scale_to_zero=self.scale_to_zero is Switch.ON,
            scale_to_zero_grace_seconds=self.scale_to_zero_grace,
            scale_to_zero_retention_seconds=self.scale_to_zero_retention,
            target_burst_capacity=self.target_burst_capacity,
            improvements=PURE,
        )


def knative(settings: KnativeSettings, service: ServiceSpec) -> Pilotlight:
    """Decides for one service as Knative would."""
    return Pilotlight(service.name, settings.policy(service), TICK_SECONDS, idle_first=False)
