"""The replicas of a view, sorted once: a view is decided on many times before the next one comes."""

from __future__ import annotations

from autoscaler.cluster.interface import ReplicaPhase, ServiceView
from autoscaler.signals.observation import ReplicaCounts
from autoscaler.signals.value_type import value_type


@value_type(frozen=True)
class Listed:
    """Names of all replicas and of those that are ready, and how many there are of each phase by this view."""

    names: frozenset[str]
    ready: frozenset[str]
    counts: ReplicaCounts


def listed(view: ServiceView) -> Listed:
    """Of this view."""
    phases = [replica.phase for replica in view.replicas]
    return Listed(
        names=frozenset(replica.name for replica in view.replicas),
        ready=frozenset(replica.name for replica in view.replicas if replica.phase is ReplicaPhase.READY),
        counts=ReplicaCounts(
            wanted=view.wanted,
            ready=phases.count(ReplicaPhase.READY),
            starting=phases.count(ReplicaPhase.STARTING),
            pending=phases.count(ReplicaPhase.PENDING),
            draining=phases.count(ReplicaPhase.DRAINING),
            failed=phases.count(ReplicaPhase.FAILED),
        ),
    )
