"""Results: what became of the requests, and what it cost. Reports are written against these alone.

Times are seconds since the trace began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from simulations.scenario import StartPhase

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]


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
