"""LiveSources: what is in flight, held and queued now, as Known, Stale or Missing.

A replica that is ready and has not been heard of may be full: the sum over the others would read as less load
than there is. So such a sum is not Known, and nobody scales down on it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Literal

from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.source import Source
from queue_proxy.messages import EngineStats, Stats

# An activator that has been silent for so long is gone if another one still speaks: nobody lists activators for us.
_ACTIVATOR_GONE_SECONDS = 60.0

_EngineNumber = Literal["running", "waiting", "kv_cache_usage"]


class LiveSources:
    """The sources of the replicas in `present` and of all activators, at `now`; those in `ready` must be heard.

    They are sorted once, here: every reading of every service is asked for in every evaluation.
    """

    __slots__ = ("_activators", "_oldest", "_others", "_required", "_stale_after", "_unheard")

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
        self._activators: list[tuple[Stats, float]] = []
        self._required: list[tuple[str, Stats]] = []
        self._others: list[Stats] = []
        self._oldest = 0.0  # age of the required source that was heard least recently
        for name, source in sources.items():
            age = now - source.heard_at
            age = age if age > 0.0 else 0.0
            if source.is_activator:
                self._activators.append((source.stats, age))
            elif name in ready and name in present:
                self._required.append((name, source.stats))
                self._oldest = age if age > self._oldest else self._oldest
            elif age <= stale_after and name in present:
                self._others.append(source.stats)
        heard_all = len(self._required) == len(ready)
        self._unheard = [] if heard_all else sorted(set(ready) - {name for name, _ in self._required})

    def in_flight(self) -> Reading:
        """Requests running or waiting in replicas, or forwarded by activators, whichever is more."""
        if self._unheard:
            return self._missing()
        forwarded = total = 0
        for stats, age in self._activators:
            if age <= self._stale_after:
                forwarded += stats.running
        for _, stats in self._required:
            total += stats.running + stats.waiting
        for stats in self._others:
            total += stats.running + stats.waiting
        return self._reading(float(max(total, forwarded)), self._oldest)

    def queued(self) -> Reading:
        """Requests that wait in replicas, in the proxy's queue or in the engine."""
        if self._unheard:
            return self._missing()
        total = 0.0
        for _, stats in self._required:
            total += stats.waiting + (0.0 if stats.engine is None else stats.engine.waiting or 0.0)
        for stats in self._others:
            total += stats.waiting + (0.0 if stats.engine is None else stats.engine.waiting or 0.0)
        return self._reading(total, self._oldest)

    def held(self) -> Reading:
        """Requests that wait in activators."""
        if not self._activators:
            return Missing("no activator has reported")
        speaking = any(age <= self._stale_after for _, age in self._activators)
        gone_after = _ACTIVATOR_GONE_SECONDS if speaking else math.inf
        counted = [(stats.waiting, age) for stats, age in self._activators if age <= gone_after]
        return self._reading(float(sum(waiting for waiting, _ in counted)), max(age for _, age in counted))

    def engine(self, name: _EngineNumber) -> Reading:
        """The sum of what the engines report."""
        return self._of_engines(name, mean=False)

    def kv_cache_usage(self) -> Reading:
        """The mean share of their cache that engines use."""
        return self._of_engines("kv_cache_usage", mean=True)

    def _of_engines(self, name: _EngineNumber, *, mean: bool) -> Reading:
        if not self._required:
            return Missing("no replica is ready")
        numbers, silent = [], None
        for replica, stats in self._required:
            number = None if stats.engine is None else _engine_number(stats.engine, name)
            if number is not None:
                numbers.append(number)
            elif silent is None or replica < silent:
                silent = replica
        if silent is not None:
            return Missing(f"the engine of {silent} does not report it")
        total = math.fsum(numbers)
        return self._reading(total / len(numbers) if mean else total, self._oldest)

    def _missing(self) -> Missing:
        others = f" and {len(self._unheard) - 1} more" if len(self._unheard) > 1 else ""
        return Missing(f"{self._unheard[0]}{others}: ready, but not heard of yet")

    def _reading(self, value: float, age: float) -> Reading:
        return Known(value, age) if age <= self._stale_after else Stale(value, age)


def _engine_number(engine: EngineStats, name: _EngineNumber) -> float | None:
    match name:
        case "running":
            return engine.running
        case "waiting":
            return engine.waiting
        case "kv_cache_usage":
            return engine.kv_cache_usage
