"""Excess burst capacity: whether requests may go past the activator, straight to the replicas."""

from __future__ import annotations

import math

from autoscaler.decide.state import Activity, replicas_on_their_way
from autoscaler.decide.target import total_target
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import ReplicaCounts
from autoscaler.signals.reading import Known, Reading


def excess_burst_capacity(policy: ScalingPolicy, replicas: int, panic: Reading, last: int) -> int:
    """floor(replicas·C − burst − panic); 0 for a burst of 0, −1 for −1. Without numbers, what it was before."""
    burst = policy.target_burst_capacity
    if burst == 0.0:
        return 0
    if burst == -1.0:
        return -1
    if not isinstance(panic, Known):
        return last
    return math.floor(replicas * total_target(policy) - burst - panic.value)


def counted_for_burst(policy: ScalingPolicy, replicas: ReplicaCounts) -> int:
    """Ready replicas; with `starting_replicas_count` those on their way too."""
    coming = replicas_on_their_way(replicas) if policy.improvements.starting_replicas_count else 0
    return replicas.ready + coming


def activator_in_path(ready: int, activity: Activity, excess_when_ready: int) -> bool:
    """New connections go to the activator unless replicas are ready, the service is active and they have to spare.

    `excess_when_ready` counts ready replicas only: one that is still loading absorbs no burst that comes now.
    """
    return ready == 0 or activity is Activity.INACTIVE or excess_when_ready < 0
