"""What a dispatcher counts for /metrics, beyond what Stats already hold."""

from __future__ import annotations

from collections import Counter

from activator.endpoint_load import Standing
from activator.tickets import Cause, Regime
from queue_proxy.histogram import DURATION_BOUNDS, Histogram

WAKE_OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Recorder:
    """Counters of one service. `refused` by cause and by what was lacking, `forwarded` by the endpoint's standing."""

    __slots__ = (
        "duration",
        "first_byte",
        "forwarded",
        "hold_wait",
        "looks",
        "probes",
        "refused",
        "retries",
        "wake_overhead",
    )

    def __init__(self) -> None:
        self.refused: Counter[tuple[Cause, Regime]] = Counter()
        self.forwarded: Counter[Standing] = Counter()
        self.retries = 0
        self.probes = 0
        self.looks = 0
        self.hold_wait = Histogram(DURATION_BOUNDS)
        self.first_byte = Histogram(DURATION_BOUNDS)
        self.duration = Histogram(DURATION_BOUNDS)
        self.wake_overhead = Histogram(WAKE_OVERHEAD_SECONDS)
