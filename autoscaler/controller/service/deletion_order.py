"""What sources said last, and which replica can best be spared by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.signals.value_type import value_type
from queue_proxy.messages import Stats

# Of two replicas, the one that goes first is of the phase named first; one that is ready is worth the most.
_GOES_FIRST = (ReplicaPhase.FAILED, ReplicaPhase.PENDING, ReplicaPhase.STARTING, ReplicaPhase.READY)


@value_type(frozen=True)
class Heard:
    """The last numbers of one source, and when they came."""

    stats: Stats
    at: float


def heard(stats: Stats, at: float) -> Heard:
    """Without their history, which the windows have taken in and which is large."""
    return Heard(replace(stats, seconds=()) if stats.seconds else stats, at)


def go_first(replicas: Iterable[Replica], said: Mapping[str, Heard]) -> tuple[str, ...]:
    """All replicas, those that can best be spared first: not ready, then the idlest, then the youngest."""

    def spared(replica: Replica) -> tuple[int, float, float, str]:
        last = said.get(replica.name)
        # One that was never heard may be full.
        in_flight = math.inf if last is None else last.stats.running + last.stats.waiting
        return _GOES_FIRST.index(replica.phase), in_flight, -replica.created_at, replica.name

    return tuple(r.name for r in sorted((r for r in replicas if r.phase in _GOES_FIRST), key=spared))
