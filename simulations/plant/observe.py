"""Observe: from what the plant tells to what a controller knows, as `autoscaler.signals.collector` would make it.

The controller's collector adds up the Stats of many sources second by second. The plant knows the sums, so it begins
there; what is the same is what matters: whole seconds, once; late by the metrics path; of a replica whose reading was
lost, with its next one; and a first request that counts at once because its activator pushes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autoscaler.signals.collector import ServiceTime
from autoscaler.signals.observation import ReplicaCounts, Sample
from simulations.plant.codes import UNKNOWN
from simulations.plant.core.tell import HEAD
from simulations.plant.interface import Observed
from simulations.plant.lost_readings import LostReadings
from simulations.scenario import MetricsPath


class Observer:
    """What one service's controller has been told so far."""

    __slots__ = (
        "_announced",
        "_busy",
        "_completed",
        "_counts",
        "_ready",
        "_service",
        "_service_seconds",
        "_service_time",
        "_tally",
        "_told",
        "path",
        "readings",
    )

    def __init__(self, service: int, path: MetricsPath, seed: int) -> None:
        """Nothing is known yet."""
        self._service = service
        self.path = path
        self.readings = LostReadings(service, path.loss, path.stale_after, seed) if path.loss > 0.0 else None
        self._told = 0  # the first second that is not told yet
        self._service_time = ServiceTime()
        self._completed = 0.0
        self._service_seconds = 0.0
        self._busy = self._ready = 0.0
        # By second: how many were announced to be held, and how many arrivals that was.
        self._announced: dict[int, tuple[float, float]] = {}
        self._tally: tuple[float, ...] = ()
        self._counts = ReplicaCounts(0, 0)

    @property
    def first_untold(self) -> int:
        """The first second of which something has not been told."""
        return self._told if self.readings is None else self.readings.first_missing

    def last_scrape(self, now: float) -> int:
        """The second of the last scrape by now."""
        return max(0, math.floor(now - self.path.delay))

    def observed(self, now: float, heard: int, out: Sequence[float], count: int, *, urgent: bool) -> Observed:
        """Make it from what `core.tell` wrote."""
        samples = self._samples(out, count, heard)
        age = now - (heard if self.readings is None else self.readings.oldest)
        held = out[1]
        if urgent and out[14] == 0.0:
            held = out[22]
            samples += self._announce(out)
        if out[7] > self._completed:
            self._service_time.age(now)
            self._service_time.add(out[7] - self._completed, out[8] - self._service_seconds)
            self._completed, self._service_seconds = out[7], out[8]
        busy, ready = max(0.0, out[11] - self._busy), out[12] - self._ready
        if heard > 0:
            self._busy, self._ready = out[11], out[12]
        return Observed(
            self._service,
            now,
            tuple(samples),
            age,
            out[0],
            held,
            out[2],
            out[3],
            out[4],
            out[5],
            min(1.0, busy / ready) if ready > 0.0 else 0.0,
            int(out[6]),
            int(out[7]),
            int(out[9]),
            int(out[10]),
            self._replicas(out),
            self._service_time.mean,
            None if out[21] == UNKNOWN else out[21],
            out[19] != 0.0,
            out[20] != 0.0,
            self.path.stale_after,
            urgent,
            self.path.loss == 0.0 and out[25] < heard and now - heard <= self.path.stale_after,
        )

    def _replicas(self, out: Sequence[float]) -> ReplicaCounts:
        tally = tuple(out[13:19])
        if tally != self._tally:
            self._tally = tally
            wanted, ready, starting, pending, draining, failed = map(int, tally)
            self._counts = ReplicaCounts(wanted, ready, starting, pending, draining, failed)
        return self._counts

    def _samples(self, out: Sequence[float], count: int, heard: int) -> list[Sample]:
        self._told = max(self._told, heard)
        seconds, loads, arrived, waiting = (out[HEAD + column : HEAD + 4 * count : 4] for column in range(4))
        samples = list(map(Sample, map(int, seconds), loads, arrived, waiting))
        if self.readings is not None:
            samples = self.readings.samples(samples)
        if self._announced:
            return [self._less_announced(sample) for sample in samples]
        return samples

    def _less_announced(self, sample: Sample) -> Sample:
        """Without what was announced of that second."""
        announced = self._announced.pop(sample.second, None)
        if announced is None:
            return sample
        held, arrivals = announced
        already = min(sample.concurrency, held)
        waiting = max(0.0, sample.waiting - already)
        return Sample(sample.second, sample.concurrency - already, sample.rps - arrivals, waiting)

    def _announce(self, out: Sequence[float]) -> list[Sample]:
        """Who waits counts as if it had been held all second; what is then measured is reduced by it."""
        second = int(out[24])
        held, arrivals = self._announced.get(second, (0.0, 0.0))
        extra, arrived = max(0.0, out[22] - held), out[23] - arrivals
        self._announced[second] = held + extra, out[23]
        return [Sample(second, extra, arrived, extra)] if extra or arrived else []
