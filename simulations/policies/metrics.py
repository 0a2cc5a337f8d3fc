"""Metrics as monitoring sees them: scraped now and then, summed over pods, and as old as the last scrape.

A policy that is fed by a monitoring system must not see more than that system has. What waits in an activator or a
gateway is no pod's; a metric of pods does not have it, which is why autoscalers that look at engines alone never wake
a service.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from simulations.plant.observed import Observed


class PodMetric(Enum):
    """What is measured; see SHARES.

    CONCURRENCY  requests running or waiting; QUEUE those that wait, in proxies and engines
    RUNNING, WAITING  requests in the engines: in the batch, and before it
    RPS          arrivals per second, over the last minute
    """

    CONCURRENCY = "concurrency"
    QUEUE = "queue"
    RUNNING = "running"
    WAITING = "waiting"
    KV = "kv"
    UTILIZATION = "utilization"
    RPS = "rps"


_OF_PODS: Mapping[PodMetric, Callable[[Observed], float]] = {
    PodMetric.CONCURRENCY: lambda seen: seen.in_flight,
    PodMetric.QUEUE: lambda seen: seen.queued,
    PodMetric.RUNNING: lambda seen: seen.engine_running,
    PodMetric.WAITING: lambda seen: seen.engine_waiting,
    PodMetric.KV: lambda seen: seen.kv_cache_usage * seen.replicas.ready,
    PodMetric.UTILIZATION: lambda seen: seen.utilization * seen.replicas.ready,
}
# Shares of one replica, 0..1; the others are numbers of requests.
SHARES = (PodMetric.KV, PodMetric.UTILIZATION)
_ALSO_HELD = (PodMetric.CONCURRENCY, PodMetric.QUEUE)
_RATE_SECONDS = 60


def sum_over_pods(metric: PodMetric, observed: Observed) -> float:
    """The sum over ready pods at the last scrape; of RPS see Rate."""
    return _OF_PODS[metric](observed)


class Rate:
    """Arrivals per second over the last minute, as PromQL's rate(…[1m])."""

    __slots__ = ("_seconds", "_sum")

    def __init__(self) -> None:
        """Nobody has come."""
        self._seconds: deque[tuple[int, float]] = deque()
        self._sum = 0.0

    def per_second(self, observed: Observed) -> float:
        """Take what is newly told."""
        for sample in observed.samples:
            if sample.rps:
                self._seconds.append((sample.second, sample.rps))
                self._sum += sample.rps
        oldest = math.floor(observed.at - observed.age if math.isfinite(observed.age) else observed.at) - _RATE_SECONDS
        while self._seconds and self._seconds[0][0] < oldest:
            self._sum -= self._seconds.popleft()[1]
        return max(0.0, self._sum) / _RATE_SECONDS if self._seconds else 0.0


@dataclass(frozen=True, slots=True)
class Scraped:
    """The newest scrape. `total` over pods, or over pods and gateway; None: there is no pod to ask."""

    at: float
    total: float
    pods: int


class Scrapes:
    """One metric of one service, scraped every `every` seconds and read every `read` seconds, on the beat. A scrape is
    half of the shorter one before a read: so values that are read are half an interval old in the mean, as they are
    where nothing is in step."""

    __slots__ = ("_also_held", "_before", "_busy", "_every", "_metric", "_next", "_rate", "_since", "last", "memory")

    def __init__(self, metric: PodMetric, every: float, read: float, *, also_held: bool) -> None:
        """`also_held`: what a gateway holds counts, as where the gateway is the source. `memory`: seconds that a scrape
        can tell of, and until the next two."""
        self._metric, self._every, self._before = metric, every, min(every, read) / 2.0
        self._also_held = also_held and metric in _ALSO_HELD
        self._rate = Rate()
        self._next = every - self._before
        self._busy = self._since = 0.0
        self.last: Scraped | None = None
        self.memory = 2.0 * every + _RATE_SECONDS

    def record(self, observed: Observed) -> None:
        """See what is there now; keep it where a scrape is due."""
        rate = self._rate.per_second(observed) if self._metric is PodMetric.RPS else 0.0
        elapsed = observed.at - self._since
        self._since = observed.at
        self._busy += observed.utilization * observed.replicas.ready * elapsed
        if observed.at < self._next - 1e-9:
            return
        scraped_before = self.last.at if self.last else 0.0
        if self._metric is PodMetric.RPS:
            total = rate
        elif self._metric is PodMetric.UTILIZATION:
            total = self._busy / max(1e-9, observed.at - scraped_before)
        else:
            total = sum_over_pods(self._metric, observed) + (observed.held if self._also_held else 0.0)
        self._busy = 0.0
        self.last = Scraped(observed.at, total, observed.replicas.ready)
        self._next = (math.floor((observed.at + self._before) / self._every + 1e-9) + 1.0) * self._every - self._before


def beat(scrape: float, *reads: float) -> float:
    """A period that scrapes and everything that reads them fall on: the greatest common part, to the millisecond."""
    half = round(min(scrape, *reads) * 500)
    return math.gcd(half, *(round(seconds * 1000) for seconds in (scrape, *reads))) / 1000.0


def due(at: float, every: float) -> bool:
    """Whether `at` is a multiple of `every`."""
    turns = at / every
    return abs(turns - round(turns)) < 1e-6
