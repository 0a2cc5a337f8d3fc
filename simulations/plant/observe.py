"""Observe: from what the plant tells to what a controller knows, as `autoscaler.signals.collector` would make it.

The controller's collector adds up the Stats of many sources second by second. The plant knows the sums, so it begins
there; what is the same is what matters: whole seconds, once; late by the metrics path; of a replica whose reading was
lost, with its next one; and a first request that counts at once because its activator pushes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

from autoscaler.signals.collector import ServiceTime
from autoscaler.signals.observation import ReplicaCounts, Sample
from simulations.plant.codes import NONE, UNKNOWN
from simulations.plant.lost_readings import LostReadings
from simulations.plant.observed import Observed
from simulations.scenario import MetricsPath

# What `core.tell` writes (`records.Told`, in the order of its fields), and of each second (`records.ToldSecond`).
ToldNumbers = tuple[
    float, float, float, float, float, int, int, float, int, int, float, float, float, float, int, float, float,
    int, int, int, int, float, float, int, int, int, int, int, int, int, int, float,
]  # fmt: skip
ToldSeconds = Iterable[tuple[int, float, float, float]]
Tell = Callable[[int, int, int, float, bool], tuple[ToldNumbers, ToldSeconds]]

# Sample(*row), without a step through Python for each of millions.
_as_sample = cast("Callable[[tuple[int, float, float, float]], Sample]", partial(tuple.__new__, Sample))

_NOTHING_OF = 1 << 60  # a second that is never told


class Observer:
    """What one service's controller has been told so far."""

    __slots__ = (
        "_announced",
        "_busy",
        "_completed",
        "_counts",
        "_delay",
        "_held_told",
        "_readings",
        "_ready",
        "_service",
        "_service_seconds",
        "_service_time",
        "_stale_after",
        "_tally",
        "_tell",
        "_work_told",
    )

    def __init__(self, service: int, path: MetricsPath, seed: int, tell: Tell) -> None:
        """Nothing is known yet. `tell` asks the plant."""
        self._service = service
        self._tell = tell
        self._delay, self._stale_after = path.delay, path.stale_after
        self._readings = LostReadings(service, path.loss, path.stale_after, seed) if path.loss > 0.0 else None
        self._work_told = self._held_told = 0  # the first seconds that are not told yet, of replicas and of activators
        self._service_time = ServiceTime()
        self._completed = 0
        self._service_seconds = 0.0
        self._busy = self._ready = 0.0
        self._announced: dict[int, float] = {}  # by second, how many were announced to be held
        self._tally: tuple[int, ...] = ()
        self._counts = ReplicaCounts(0, 0)

    def observed(self, now: float, *, urgent: bool, since: float | None = None) -> Observed:
        """What it is told now. `since`: when it would have been told last, had no steps been left out."""
        heard = now - self._delay
        readings = self._readings
        if readings is None:
            told, seconds = self._tell(self._service, self._work_told, self._held_told, heard, urgent)
        else:
            told, seconds = self._those_that_came(readings, heard, urgent=urgent)
        (
            in_flight, queued, engine_running, engine_waiting, kv_cache_usage, attempts, completed, service_seconds,
            input_tokens, output_tokens, busy, ready, forwarded, held, scrape, scraped_at, pushed_at,
            work_until, held_until, settled, urgent_second, urgent_held, urgent_arrived,
            _, _, _, _, _, _, in_path, ever_ready, expected_wake,
        ) = told  # fmt: skip
        tally = told[23:29]
        if tally != self._tally:
            self._tally = tally
            self._counts = ReplicaCounts(*tally)
        if work_until > self._work_told:
            self._work_told = work_until
        if held_until > self._held_told:
            self._held_told = held_until
        samples = tuple(map(_as_sample, seconds))
        if readings is not None:
            samples = tuple(readings.samples(samples))
            scraped_at -= scrape - readings.oldest
        if self._announced:
            samples = tuple(map(self._less_announced, samples))
        if urgent_second != NONE:
            samples += self._announce(urgent_second, urgent_held, urgent_arrived)
        if completed > self._completed:
            self._service_time.age(now)
            self._service_time.add(completed - self._completed, service_seconds - self._service_seconds)
            self._completed, self._service_seconds = completed, service_seconds
        utilization = 0.0
        if since is not None:
            # By when in a second replicas are scraped now: where nobody sets that, a first replica that is ready since
            # then may have moved it. Asked any sooner, the plant would count what was pushed meanwhile.
            then = self._tell(self._service, _NOTHING_OF, _NOTHING_OF, since - self._delay, False)[0]
            self._busy, self._ready = then[10], then[11]
        if scrape > 0:
            was_ready = ready - self._ready
            if was_ready > 0.0:
                utilization = min(1.0, max(0.0, busy - self._busy) / was_ready)
            self._busy, self._ready = busy, ready
        age = now - scraped_at
        return Observed(
            self._service,
            now,
            samples,
            age,
            forwarded if in_path and forwarded > in_flight else in_flight,
            held,
            queued,
            engine_running,
            engine_waiting,
            kv_cache_usage,
            utilization,
            attempts,
            completed,
            input_tokens,
            output_tokens,
            self._counts,
            self._service_time.mean,
            None if expected_wake == UNKNOWN else expected_wake,
            in_path == 1,
            ever_ready == 1,
            self._stale_after,
            urgent,
            settled == 1 and readings is None and age <= self._stale_after,
            now - pushed_at,
        )

    def _those_that_came(
        self, readings: LostReadings, heard: float, *, urgent: bool
    ) -> tuple[ToldNumbers, ToldSeconds]:
        """Where some readings are lost: each replica with its last word."""
        first = readings.first_missing
        told, seconds = self._tell(self._service, first, first, heard, urgent)
        seconds = list(seconds)
        scrape, part = told[14], told[15] - told[14]
        readings.hear(scrape, told[24])
        middles = {second: second + part + 0.5 for second in readings.older()}
        older = {
            second: self._tell(self._service, _NOTHING_OF, _NOTHING_OF, middle, False)[0]
            for second, middle in middles.items()
        }
        return cast("ToldNumbers", tuple(readings.mixed(told, older))), seconds

    def _less_announced(self, sample: Sample) -> Sample:
        """Without what was announced of that second."""
        held = self._announced.pop(sample.second, 0.0)
        already = min(sample.concurrency, held)
        if already <= 0.0:
            return sample
        return Sample(sample.second, sample.concurrency - already, sample.rps, max(0.0, sample.waiting - already))

    def _announce(self, second: int, held: float, arrived: float) -> tuple[Sample, ...]:
        """Who waits counts as if it had been held all second; what is then measured is reduced by it."""
        already = self._announced.get(second, 0.0)
        extra = max(0.0, held - already)
        self._announced[second] = already + extra
        return (Sample(second, extra, arrived, extra),) if extra or arrived else ()
