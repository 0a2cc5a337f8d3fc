"""LiveSources: what is in flight, held and queued now, as Known, Stale or Missing.

A replica that is ready and has not been heard of may be full: the sum over the others would read as less load
than there is. So such a sum is not Known, and nobody scales down on it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.source import Source
from queue_proxy.messages import EngineStats, Stats

# An activator that has been silent for so long is gone if another one still speaks: nobody lists activators for us.
_ACTIVATOR_GONE_SECONDS = 60.0

_NO_ACTIVATOR = Missing("no activator has reported")
_NOBODY_READY = Missing("no replica is ready")
_SAYS_NOTHING = EngineStats()


class LiveSources:
    """The sources of the replicas in `present` and of all activators, at `now`; those in `ready` must be heard.

    They are looked at once, here: all readings of every service are asked for in every evaluation.
    """

    __slots__ = (
        "_activators", "_engines", "_forwarded", "_oldest", "_queued", "_required", "_stale_after", "_unheard",
        "_working",
    )  # fmt: skip

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        ready: Collection[str],
        present: Collection[str],
        now: float,
        stale_after: float,
    ) -> None:
        """Look at `sources`, by their names, as they are now."""
        self._stale_after = stale_after
        self._activators: list[tuple[int, float]] = []  # how many wait there, and the age of that
        self._required: list[tuple[str, Stats]] = []
        oldest = 0.0  # age of the required source that was heard least recently
        engines, forwarded, working = False, 0, 0
        queued = 0.0
        others: list[Stats] = []
        for name, source in sources.items():
            stats, age = source.stats, now - source.heard_at
            if age < 0.0:
                age = 0.0
            if source.is_activator:
                self._activators.append((stats.waiting, age))
                if age <= stale_after:
                    forwarded += stats.running
            elif name in ready and name in present:
                self._required.append((name, stats))
                working += stats.running + stats.waiting
                queued += _queued(stats)
                engines = engines or stats.engine is not None
                if age > oldest:
                    oldest = age
            elif age <= stale_after and name in present:
                others.append(stats)
        for stats in others:
            working += stats.running + stats.waiting
            queued += _queued(stats)
        self._engines, self._oldest = engines, oldest
        self._forwarded, self._working, self._queued = forwarded, working, queued
        heard_all = len(self._required) == len(ready)
        self._unheard = [] if heard_all else sorted(set(ready) - {name for name, _ in self._required})

    def in_flight(self) -> Reading:
        """Requests running or waiting in replicas, or forwarded by activators, whichever is more."""
        if self._unheard:
            return self._missing()
        return self._reading(float(max(self._working, self._forwarded)), self._oldest)

    def queued(self) -> Reading:
        """Requests that wait in replicas, in the proxy's queue or in the engine."""
        return self._missing() if self._unheard else self._reading(self._queued, self._oldest)

    def held(self) -> Reading:
        """Requests that wait in activators."""
        activators = self._activators
        if not activators:
            return _NO_ACTIVATOR
        if len(activators) > 1 and any(age <= self._stale_after for _, age in activators):
            gone_after = max(_ACTIVATOR_GONE_SECONDS, self._stale_after)
            activators = [(waiting, age) for waiting, age in activators if age <= gone_after]
        total, oldest = 0, 0.0
        for waiting, age in activators:
            total += waiting
            if age > oldest:
                oldest = age
        return self._reading(float(total), oldest)

    def engines(self) -> tuple[Reading, Reading, Reading]:
        """Requests that engines run and that wait in them, summed up, and the mean share of their caches in use."""
        if not self._required:
            return _NOBODY_READY, _NOBODY_READY, _NOBODY_READY
        if not self._engines:
            silent = _does_not_report([name for name, _ in self._required])
            return silent, silent, silent
        engines = [stats.engine or _SAYS_NOTHING for _, stats in self._required]
        return (
            self._of_engines([engine.running for engine in engines], mean=False),
            self._of_engines([engine.waiting for engine in engines], mean=False),
            self._of_engines([engine.kv_cache_usage for engine in engines], mean=True),
        )

    def _of_engines(self, numbers: list[float | None], *, mean: bool) -> Reading:
        """Of one number for each required source."""
        said = [number for number in numbers if number is not None]
        if len(said) < len(numbers):
            named = zip(self._required, numbers, strict=True)
            return _does_not_report([name for (name, _), number in named if number is None])
        total = math.fsum(said)
        return self._reading(total / len(said) if mean else total, self._oldest)

    def _missing(self) -> Missing:
        others = f" and {len(self._unheard) - 1} more" if len(self._unheard) > 1 else ""
        return Missing(f"{self._unheard[0]}{others}: ready, but not heard of yet")

    def _reading(self, value: float, age: float) -> Reading:
        return Known(value, age) if age <= self._stale_after else Stale(value, age)


def _does_not_report(silent: Iterable[str]) -> Missing:
    return Missing(f"the engine of {min(silent)} does not report it")


def _queued(stats: Stats) -> float:
    engine = stats.engine
    return stats.waiting if engine is None else stats.waiting + (engine.waiting or 0.0)
