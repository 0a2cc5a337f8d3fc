"""LiveSources: what is in flight, held and queued now, as Known, Stale or Missing.

A replica that is ready and has not been heard of may be full: the sum over the others would read as less load
than there is. So such a sum is not Known, and nobody scales down on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.source import Source

# An activator that has been silent for so long is gone if another one still speaks: nobody lists activators for us.
_ACTIVATOR_GONE_SECONDS = 60.0

_EngineNumber = Literal["running", "waiting", "kv_cache_usage"]


@dataclass(frozen=True, slots=True)
class LiveSources:
    """The sources of the replicas that exist and of all activators, at `now`."""

    replicas: Mapping[str, Source]
    activators: Mapping[str, Source]
    ready: Collection[str]
    now: float
    stale_after: float

    def in_flight(self) -> Reading:
        """Requests running or waiting in replicas, or forwarded by activators, whichever is more."""
        forwarded = sum(s.stats.running for s in self.activators.values() if self._fresh(s))
        return self._of_replicas(lambda s: s.stats.running + s.stats.waiting, at_least=forwarded)

    def queued(self) -> Reading:
        """Requests that wait in replicas, in the proxy's queue or in the engine."""
        return self._of_replicas(lambda s: s.stats.waiting + (_engine_number(s, "waiting") or 0.0), at_least=0)

    def held(self) -> Reading:
        """Requests that wait in activators."""
        if not self.activators:
            return Missing("no activator has reported")
        speaking = any(self._fresh(s) for s in self.activators.values())
        gone_after = _ACTIVATOR_GONE_SECONDS if speaking else math.inf
        counted = [s for s in self.activators.values() if self._age(s) <= gone_after]
        return self._reading(float(sum(s.stats.waiting for s in counted)), max(self._age(s) for s in counted))

    def engine(self, name: _EngineNumber) -> Reading:
        """The sum of what the engines report."""
        return self._of_engines(name, mean=False)

    def kv_cache_usage(self) -> Reading:
        """The mean share of their cache that engines use."""
        return self._of_engines("kv_cache_usage", mean=True)

    def _of_replicas(self, count: Callable[[Source], float], at_least: int) -> Reading:
        unheard = sorted(name for name in self.ready if name not in self.replicas)
        if unheard:
            others = f" and {len(unheard) - 1} more" if len(unheard) > 1 else ""
            return Missing(f"{unheard[0]}{others}: ready, but not heard of yet")
        required = [s for name, s in self.replicas.items() if name in self.ready]
        others_heard = [s for name, s in self.replicas.items() if name not in self.ready and self._fresh(s)]
        total = float(sum(count(s) for s in required) + sum(count(s) for s in others_heard))
        return self._reading(max(total, float(at_least)), max((self._age(s) for s in required), default=0.0))

    def _of_engines(self, name: _EngineNumber, *, mean: bool) -> Reading:
        required = [(n, s) for n, s in self.replicas.items() if n in self.ready]
        if not required:
            return Missing("no replica is ready")
        numbers = {n: _engine_number(s, name) for n, s in required}
        silent = sorted(n for n, number in numbers.items() if number is None)
        if silent:
            return Missing(f"the engine of {silent[0]} does not report it")
        total = math.fsum(number for number in numbers.values() if number is not None)
        return self._reading(total / len(required) if mean else total, max(self._age(s) for _, s in required))

    def _reading(self, value: float, age: float) -> Reading:
        return Known(value, age) if age <= self.stale_after else Stale(value, age)

    def _fresh(self, source: Source) -> bool:
        return self._age(source) <= self.stale_after

    def _age(self, source: Source) -> float:
        return max(0.0, self.now - source.heard_at)


def _engine_number(source: Source, name: _EngineNumber) -> float | None:
    engine = source.stats.engine
    if engine is None:
        return None
    match name:
        case "running":
            return engine.running
        case "waiting":
            return engine.waiting
        case "kv_cache_usage":
            return engine.kv_cache_usage
