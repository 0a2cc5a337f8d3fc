"""Who starts and who goes when a number of replicas is ordered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.cluster.interface import Replica, ReplicaPhase

# Those that serve nobody go before those that do.
_GOING_ORDER = (ReplicaPhase.FAILED, ReplicaPhase.PENDING, ReplicaPhase.STARTING, ReplicaPhase.READY)


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """How many to start, and who goes, in order."""

    start: int
    stop: tuple[str, ...]


def plan_scale(wanted: int, replicas: Sequence[Replica], go_first: Sequence[str]) -> ScalePlan:
    """From the replicas there are to `wanted`. Draining ones have left already: they cannot be called back.

    Those in `go_first` go first and in that order, then those that are not ready, then the youngest: the oldest have
    the warmest caches.
    """
    standing = [replica for replica in replicas if replica.phase is not ReplicaPhase.DRAINING]
    excess = len(standing) - wanted
    if excess <= 0:
        return ScalePlan(start=-excess, stop=())
    named = {name: place for place, name in reversed(list(enumerate(go_first)))}

    def rank(replica: Replica) -> tuple[int, int, float]:
        return named.get(replica.name, len(go_first)), _GOING_ORDER.index(replica.phase), -replica.created_at

    return ScalePlan(start=0, stop=tuple(replica.name for replica in sorted(standing, key=rank)[:excess]))
