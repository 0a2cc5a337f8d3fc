"""What the plant tells: Observed and Results. Policies and reports are written against these alone.

Times are seconds since the trace began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.value_type import value_type
from simulations.scenario import StartPhase

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]


@value_type(frozen=True)
class Observed:
    """What a controller would have been told of one service at `at`. Nothing is newer than the metrics path allows.

    samples      whole seconds that are newly told, oldest first (see autoscaler.signals.observation.Sample); in those
                 that are left out between two of them nothing happened
    age          seconds since the scrape that the numbers below are from; math.inf before the first
    in_flight    requests running or waiting in replicas; held: in the activator; queued: waiting in replicas,
                 in the proxy's line or the engine's
    engine_running, engine_waiting  requests in the engines; kv_cache_usage: mean share of ready replicas, 0..1
    utilization  mean share of the time since the last observation in which a ready replica had work, 0..1
    arrived, completed  attempts so far
    input_tokens, output_tokens  of completed requests so far
    replicas     as the cluster shows them, which is at once
    service_seconds  mean time a replica works on one request, of recent ones; None before the first
    wake_seconds     time from order to readiness that nine of ten of the last starts kept; None before the first
    urgent       a request has just found no endpoint, and that is why it is asked now
    held_age     seconds since the push that `held` is from; None: as old as the rest
    settled      all of this is still so: nothing has happened to the service since that scrape. No controller knows
                 that; it is here so that steps can be left out which could only repeat the last one
    """

    service: int
    at: float
    samples: tuple[Sample, ...]
    age: float
    in_flight: float
    held: float
    queued: float
    engine_running: float
    engine_waiting: float
    kv_cache_usage: float
    utilization: float
    arrived: int
    completed: int
    input_tokens: int
    output_tokens: int
    replicas: ReplicaCounts
    service_seconds: float | None
    wake_seconds: float | None
    activator_in_path: bool
    ever_ready: bool
    stale_after: float
    urgent: bool = False
    settled: bool = False
    held_age: float | None = None

    def reading(self, value: float) -> Reading:
        """One of the numbers above, as something that may be stale."""
        return Known(value, self.age) if self.age <= self.stale_after else Stale(value, self.age)

    def _held_reading(self) -> Reading:
        age = self.held_age
        if age is None:
            return self.reading(self.held)
        return Known(self.held, age) if age <= self.stale_after else Stale(self.held, age)

    def observation(self) -> Observation:
        """The same in the form that the controller gives its Decider."""
        some_ready = self.replicas.ready > 0
        engine = _of_nobody if not some_ready else None
        return Observation(
            at=self.at,
            samples=self.samples,
            in_flight=self.reading(self.in_flight),
            held=self._held_reading(),
            queued=self.reading(self.queued),
            engine_running=engine or self.reading(self.engine_running),
            engine_waiting=engine or self.reading(self.engine_waiting),
            kv_cache_usage=engine or self.reading(self.kv_cache_usage),
            replicas=self.replicas,
            service_seconds=self.service_seconds,
            wake_seconds=self.wake_seconds,
            activator_confirmed=self.activator_in_path,
            ever_ready=self.ever_ready,
            completed=float(self.completed),
        )


_of_nobody = Missing("no replica is ready")


class Outcome(Enum):
    """How a request ended, after its last attempt: exactly one of these. UNFINISHED: the run ended first."""

    COMPLETED = "completed"
    REFUSED_NO_ENDPOINT = "refused_no_endpoint"  # 503: nothing was ready, for too long or for too many
    REFUSED_FULL = "refused_full"  # 429: replicas were ready and busy, for too long or for too many
    TIMED_OUT = "timed_out"  # its client gave up
    CUT = "cut"  # the replica that worked on it was killed
    UNFINISHED = "unfinished"


class GpuUse(Enum):
    """What GPUs that are paid for were doing. A replica's GPUs are paid from when it has a node until it is gone."""

    SERVING = "serving"  # ready, with at least one request
    IDLE = "idle"  # ready, without
    STARTING = "starting"
    DRAINING = "draining"
    FAILED = "failed"  # starts that failed, and the waits after them


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Durations in log-spaced buckets: `counts[i]` of them are from `edges[i]` up to below `edges[i + 1]` seconds."""

    edges: F8
    counts: I8

    @property
    def total(self) -> int:
        """How many durations."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """The duration that `share` (0..1) of them do not exceed, interpolated in its bucket; NaN when empty."""
        total = self.total
        if total == 0:
            return float("nan")
        cumulative = np.cumsum(self.counts)
        rank = share * total
        i = int(np.searchsorted(cumulative, rank))
        i = min(i, len(self.counts) - 1)
        before = float(cumulative[i - 1]) if i else 0.0
        inside = (rank - before) / max(1.0, float(self.counts[i]))
        return float(self.edges[i] + (self.edges[i + 1] - self.edges[i]) * min(1.0, max(0.0, inside)))

    def __add__(self, other: Histogram) -> Histogram:
        """Both together; the edges are the same in all histograms."""
        return Histogram(self.edges, self.counts + other.counts)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Means over bins of `width` seconds; all arrays have one length.

    demand    requests running and waiting anywhere; held: those that waited in the activator
    wanted, starting, ready, draining  replicas; starting includes pending and failed ones
    arrived   requests that came in the bin; ended, missed: that ended in it, and those of them not good
    """

    width: float
    demand: F8
    held: F8
    wanted: F8
    starting: F8
    ready: F8
    draining: F8
    arrived: I8
    ended: I8
    missed: I8


@dataclass(frozen=True, slots=True, eq=False)
class ServiceResults:
    """What became of one service's requests, and what it cost.

    requests   that came, each counted once; attempts: with repeated ones
    outcomes   sums to `requests`
    good       completed within the objective; attainment is good / (requests − unfinished)
    worst_window  the least share of good requests in any five minutes with at least ten that ended; NaN without any
    cold       requests of which an attempt waited in the hold while no replica was ready
    wait_seconds  sum of the time completed requests waited before an engine began with them
    latency, ttft  of completed requests, from the first attempt on; warm: never waited for a start; cold: did
    latency_sum, latency_squares  for means and their errors
    gpu_seconds   sums to what is paid for replicas
    phase_seconds seconds of starts, by phase, of those that became ready
    starts, failed_starts  that became ready; that failed; reclaimed: ready replicas whose node was taken back
    raised, lowered  sum of the changes of the number wanted, up and down; reversals: changes of direction
    """

    name: str
    requests: int
    attempts: int
    outcomes: Mapping[Outcome, int]
    good: int
    worst_window: float
    cold: int
    wait_seconds: float
    latency_warm: Histogram
    latency_cold: Histogram
    ttft_warm: Histogram
    ttft_cold: Histogram
    latency_sum: float
    latency_squares: float
    input_tokens: int
    output_tokens: int
    gpu_seconds: Mapping[GpuUse, float]
    phase_seconds: Mapping[StartPhase, float]
    starts: int
    failed_starts: int
    reclaimed: int
    raised: int
    lowered: int
    reversals: int
    timeline: Timeline


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """Everything of one run, up to `span` seconds.

    worst_window  as of a service, over all services together
    node_gpu_seconds  GPU-seconds of nodes, used or not; of bounded clusters only, else 0
    most_gpus     the most GPUs in use at the same time
    """

    span: float
    services: tuple[ServiceResults, ...]
    worst_window: float
    node_gpu_seconds: float
    most_gpus: int
