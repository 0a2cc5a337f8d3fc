"""Collector: the Stats of all sources of one service become Observations.

The load of a service is what its queue proxies have, running and waiting, plus what activators hold. What an
activator has forwarded is only evidence that work is in flight: it is in a queue proxy's numbers already. So
nothing is counted twice, and nothing is subtracted.

A second is handed on once every source that is heard has told of it, or two seconds later at the latest; what
is told later than that follows as a late sample. A first request cannot wait for that, nor has it any area yet:
an urgent push therefore counts at once, as if what is held had been held all second, and what the source then
really reports of that second is reduced by it.

No clock, no I/O: whoever calls says what time it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from autoscaler.signals.gpu import NO_GPU_READINGS, GpuReadings
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.present import LiveSources
from autoscaler.signals.source import Source, Span
from queue_proxy.messages import Stats

# What a source that goes unheard may hold back: seconds older than this are handed on without it.
_SECONDS_TO_WAIT = 2
# A gone replica's baseline outlives it by this much, lest a scrape that was under way is taken for a new source.
_GONE_SECONDS = 120.0
_LONGEST_PAST = 3_600
_SERVICE_TIME_HALF_LIFE = 60.0
_NOTHING_KNOWN = ReplicaCounts(wanted=0, ready=0)


class Collector:
    """The sources of one service. `stale_after_seconds` may be changed at any time."""

    def __init__(self, stale_after_seconds: float) -> None:
        """Begin without any source."""
        self.stale_after_seconds = stale_after_seconds
        self._sources: dict[str, Source] = {}
        self._gone_at: dict[str, float] = {}
        self._announced: dict[str, _Announcement] = {}
        self._pending: dict[int, list[float]] = {}
        self._at_once: list[Sample] = []
        self._service = ServiceTime()
        self._completed = 0.0

    def receive(self, stats: Stats, now: float, *, urgent: bool = False) -> None:
        """Take one reading. `urgent`: a request waits there and no replica is ready."""
        source = self._sources.get(stats.source)
        span: Span | None
        if source is None:
            source = self._sources[stats.source] = Source(stats, now)
            for past in source.history():
                self._add(stats.source, past, now)
            span = Span(now, now, 0.0, 0.0, float(stats.waiting if urgent and source.is_activator else 0))
        else:
            before = source.completed
            span = source.receive(stats, now)
            if not source.is_activator:
                self._completed += source.completed - before
        if span is None:
            return
        if urgent:
            self._announce(stats, span.arrived, math.floor(now))
            span = Span(span.start, span.end, span.load, span.waiting, 0.0)
        self._add(stats.source, span, now)

    def leave(self, source: str) -> None:
        """This source has ended and said so after its last reading; what it told stays counted."""
        known = self._sources.pop(source, None)
        if known is not None:
            self._service.take((known,))
        self._gone_at.pop(source, None)
        self._announced.pop(source, None)

    def collect(
        self,
        now: float,
        *,
        ready: Collection[str],
        present: Collection[str],
        replicas: ReplicaCounts = _NOTHING_KNOWN,
        wake_seconds: float | None = None,
        activator_confirmed: bool = False,
        ever_ready: bool = False,
        gpus: GpuReadings = NO_GPU_READINGS,
    ) -> Observation:
        """Everything new that the sources told, and what is true of them now; with the rest, which the cluster knows.

        `ready` names the replicas that must have been heard to know what is in flight, `present` all that exist.
        Whoever is not among them is forgotten after its last counts.
        """
        self._service.age(now)
        heard_at = self._forget(present, now)
        self._service.take(self._sources.values())
        live = self.live(now, ready=ready, present=present)
        running, waiting, kv_cache_usage = live.engines()
        return Observation(
            at=now,
            samples=self._take_samples(heard_at, now),
            in_flight=live.in_flight(),
            held=live.held(),
            queued=live.queued(),
            engine_running=running,
            engine_waiting=waiting,
            kv_cache_usage=kv_cache_usage,
            replicas=replicas,
            service_seconds=self._service.mean,
            wake_seconds=wake_seconds,
            activator_confirmed=activator_confirmed,
            ever_ready=ever_ready,
            gpu_utilization=gpus.utilization,
            gpu_memory=gpus.memory,
            completed=self._completed,
        )

    def live(self, now: float, *, ready: Collection[str], present: Collection[str]) -> LiveSources:
        """What is in flight, held and queued as of `now`, from the last word of each source; takes nothing away."""
        return LiveSources(self._sources, ready=ready, present=present, now=now, stale_after=self.stale_after_seconds)

    def _announce(self, stats: Stats, arrived: float, second: int) -> None:
        earlier = self._announced.get(stats.source)
        already = earlier.amount if earlier is not None and earlier.second == second else 0.0
        credit = earlier.credit if earlier is not None and earlier.second == second else 0.0
        extra = max(0.0, stats.waiting - already)
        self._announced[stats.source] = _Announcement(second, already + extra, credit + extra)
        if extra or arrived:
            self._at_once.append(Sample(second, extra, arrived, extra))

    def _add(self, name: str, span: Span, now: float) -> None:
        oldest = math.floor(now) - _LONGEST_PAST
        announced = self._announced.get(name)
        for second, load, waiting, arrived in span.by_second():
            if second < oldest:
                continue
            if announced is not None and second == announced.second:
                counted = min(load, announced.credit)
                announced.credit -= counted
                load, waiting = load - counted, max(0.0, waiting - counted)
            bucket = self._pending.get(second)
            if bucket is None:
                self._pending[second] = [load, arrived, waiting]
            else:
                bucket[0] += load
                bucket[1] += arrived
                bucket[2] += waiting
        if announced is not None and span.end >= announced.second + 1:
            del self._announced[name]

    def _forget(self, present: Collection[str], now: float) -> float:
        """Let go of who has been gone for long. Returns up to when all who may still tell have told."""
        heard_at, silent_since, expired = now, now - self.stale_after_seconds, list[str]()
        for name, source in self._sources.items():
            if source.is_activator:
                if now - source.heard_at > _LONGEST_PAST:
                    expired.append(name)
            elif name not in present:
                if now - self._gone_at.setdefault(name, now) > _GONE_SECONDS:
                    expired.append(name)
                continue  # it tells nothing more: it must not hold back what the others tell
            elif self._gone_at:
                self._gone_at.pop(name, None)
            if silent_since <= source.heard_at < heard_at:
                heard_at = source.heard_at
        for name in expired:
            self.leave(name)
        return heard_at

    def _take_samples(self, heard_at: float, now: float) -> tuple[Sample, ...]:
        before = max(math.floor(heard_at), math.floor(now) - _SECONDS_TO_WAIT)
        seconds = sorted([second for second in self._pending if second < before])
        samples = []
        for second in seconds:
            load, arrived, waiting = self._pending.pop(second)
            samples.append(Sample(second, load, arrived, waiting))
        if self._at_once:
            samples += self._at_once
            self._at_once = []
            samples.sort(key=lambda sample: sample.second)
        return tuple(samples)


@dataclass(slots=True)
class _Announcement:
    """What a source's urgent pushes counted in `second`, and how much of it its real counts have yet to repay."""

    second: int
    amount: float
    credit: float


class ServiceTime:
    """Mean service time of recent completions: older ones weigh half as much each minute, the last ones remain."""

    def __init__(self) -> None:
        self._completed = 0.0
        self._seconds = 0.0
        self._at: float | None = None

    def age(self, now: float) -> None:
        """Let what was added before weigh less, but never less than one completion: an old mean beats none."""
        if self._at is not None and self._completed > 1.0 and now > self._at:
            # Without max(), which would be half of what this costs: simulations ask it with every observation.
            kept, least = 0.5 ** ((now - self._at) / _SERVICE_TIME_HALF_LIFE), 1.0 / self._completed
            if kept < least:
                kept = least
            self._completed *= kept
            self._seconds *= kept
        self._at = now

    def add(self, completed: float, seconds: float) -> None:
        self._completed += completed
        self._seconds += seconds

    def take(self, sources: Iterable[Source]) -> None:
        """Add what replicas have completed since the last time."""
        for source in sources:
            if not source.is_activator:
                self._completed += source.completed
                self._seconds += source.service_seconds
                source.completed = source.service_seconds = 0.0

    @property
    def mean(self) -> float | None:
        return self._seconds / self._completed if self._completed > 0.0 else None
