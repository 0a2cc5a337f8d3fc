"""Rates: how far one evaluation may move, relative to the replicas there are (Knative 1.2, step 1)."""

from __future__ import annotations

import math

from autoscaler.decide.state import replicas_on_their_way
from autoscaler.decide.target import MOST_REPLICAS
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import ReplicaCounts
from autoscaler.signals.value_type import value_type


@value_type(frozen=True)
class RateLimits:
    """`base` is the number of replicas that all else is relative to, at least 1; results stay in least..most."""

    base: int
    least: int
    most: int

    def clamp(self, replicas: int) -> int:
        """`replicas`, within the limits; Knative applies the lower one first."""
        return min(max(replicas, self.least), self.most)


def rate_limits(policy: ScalingPolicy, replicas: ReplicaCounts) -> RateLimits:
    """U = ceil(up_rate·r) and L = floor(r / down_rate), r = max(1, ready).

    With `starting_replicas_count` r includes replicas on their way: relative to the ready ones alone, each
    evaluation during a slow start would multiply the demand again. Every service counts as reachable, since
    KServe has no revision that is kept without being routed.
    """
    counted = replicas.ready
    if policy.improvements.starting_replicas_count:
        counted += replicas_on_their_way(replicas)
    base = max(1, counted)
    return RateLimits(
        base=base,
        least=math.floor(base / policy.max_scale_down_rate),
        most=min(MOST_REPLICAS, math.ceil(policy.max_scale_up_rate * base)),
    )
