"""What a dispatcher counts for /metrics, beyond what Stats already hold."""

from __future__ import annotations

from collections import Counter

from activator.endpoints import Standing
from activator.hold import Cause, Regime
from queue_proxy.histogram import Histogram

HOLD_WAIT_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
WAKE_OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Recorder:
    """Counters of one service. `refused` by cause and by what was lacking, `forwarded` by the endpoint's standing."""

    __slots__ = ("forwarded", "hold_wait", "looks", "probes", "refused", "retries", "wake_overhead")

    def __init__(self) -> None:
        self.refused: Counter[tuple[Cause, Regime]] = Counter()
        self.forwarded: Counter[Standing] = Counter()
        self.retries = 0
        self.probes = 0
        self.looks = 0
        self.hold_wait = Histogram(HOLD_WAIT_SECONDS)
        self.wake_overhead = Histogram(WAKE_OVERHEAD_SECONDS)
