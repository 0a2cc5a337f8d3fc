"""What the dispatchers count for /metrics, beyond what Stats already hold."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from activator.endpoints import Standing
from activator.hold import Cause, Regime

HOLD_WAIT_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
WAKE_OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Histogram:
    """Observations in fixed buckets: one bisect and two additions each."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value`; a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Recorder:
    """Counters of one service. `refused` by cause and by what was lacking, `forwarded` by the endpoint's standing."""

    __slots__ = ("forwarded", "hold_wait", "probes", "refused", "retries", "scrapes", "wake_overhead")

    def __init__(self) -> None:
        self.refused: Counter[tuple[Cause, Regime]] = Counter()
        self.forwarded: Counter[Standing] = Counter()
        self.retries = 0
        self.probes = 0
        self.scrapes = 0
        self.hold_wait = Histogram(HOLD_WAIT_SECONDS)
        self.wake_overhead = Histogram(WAKE_OVERHEAD_SECONDS)
