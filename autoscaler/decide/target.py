"""Target: how much load one replica is meant to have (Knative's target resolution)."""

from __future__ import annotations

import math

from autoscaler.policy.scaling_policy import Metric, ScalingPolicy

_LEAST_TARGET = 0.01
# More replicas than any cluster has; keeps infinity and absurd readings out of integers.
MOST_REPLICAS = 2**31 - 1


def total_target(policy: ScalingPolicy) -> float:
    """C: what one replica can take. For concurrency never more than its hard limit; for rps that does not matter."""
    if 0 < policy.container_concurrency < policy.target and policy.metric is Metric.CONCURRENCY:
        return float(policy.container_concurrency)
    return policy.target


def utilized_target(policy: ScalingPolicy) -> float:
    """T = max(0.01, C·u): the load at which a replica counts as full."""
    return max(_LEAST_TARGET, total_target(policy) * policy.target_utilization)


def parallelism(policy: ScalingPolicy) -> float:
    """How many requests a replica works on at a time: its hard limit, else what it is meant to have."""
    return float(policy.container_concurrency) if policy.container_concurrency > 0 else policy.target


def replicas_for(load: float, per_replica: float) -> int:
    """ceil(load / per_replica), 0 for no load."""
    return min(MOST_REPLICAS, math.ceil(load / per_replica)) if load > 0.0 else 0
