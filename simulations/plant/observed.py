"""Observed: what the plant tells of a service between two decisions. Policies are written against this alone.

Times are seconds since the trace began.
"""

from __future__ import annotations

from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.value_type import value_type


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
