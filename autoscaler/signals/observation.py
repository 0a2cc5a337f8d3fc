"""Observation: everything one evaluation of one service was told, in the form that is recorded.

The controller, `replay` and the simulator all feed a Decider with these and with nothing else; that is why a
recording, decided again, gives the same bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from autoscaler.signals.gpu import NOT_READ
from autoscaler.signals.reading import Reading
from autoscaler.signals.value_type import value_type


class Sample(NamedTuple):
    """What the service as a whole did in the second that starts at `second` (controller's clock, whole seconds).

    `concurrency` is the average number of requests running or waiting, in replicas and in the hold;
    `waiting` the part of it that waited in a queue or the hold; `rps` the number that arrived. Samples of one
    second add up; a late one is simply another sample. `rps` may be negative where a request that was counted
    when it entered the hold is counted by a replica in another second.

    A tuple, because simulations make more of these than of anything else.
    """

    second: int
    concurrency: float
    rps: float
    waiting: float = 0.0


@value_type(frozen=True)
class ReplicaCounts:
    """Replicas by phase. `pending` waits for a GPU or a node; `failed` is backing off before its next start."""

    wanted: int
    ready: int
    starting: int = 0
    pending: int = 0
    draining: int = 0
    failed: int = 0


@value_type(frozen=True)
class Observation:
    """One evaluation's input.

    at             controller's clock, seconds since 1970, never going backwards
    samples        new since the last observation, oldest first; between two silent ones nothing happened in the seconds
                   that have none
    in_flight      requests running or waiting in replicas now, by their account or the activators', the larger
    held           requests waiting in activators now
    queued         requests waiting in replicas' queues and engines now
    replicas       as the cluster reports them
    service_seconds  mean time a replica works on one request, measured; None while unknown
    wake_seconds   time from order to readiness, measured; None while unknown
    activator_confirmed  the activator is in the path of this service for new connections
    ever_ready     one replica of this generation has been ready at least once
    gpu_utilization, gpu_memory  of the devices of ready replicas: see autoscaler.signals.gpu.GpuReadings
    completed      requests that replicas have completed since they were first heard of, never going down while the same
                   controller tells of it; None where nobody says
    """

    at: float
    samples: tuple[Sample, ...]
    in_flight: Reading
    held: Reading
    queued: Reading
    engine_running: Reading
    engine_waiting: Reading
    kv_cache_usage: Reading
    replicas: ReplicaCounts
    service_seconds: float | None
    wake_seconds: float | None
    activator_confirmed: bool
    ever_ready: bool
    gpu_utilization: Reading = NOT_READ
    gpu_memory: Reading = NOT_READ
    completed: float | None = None
