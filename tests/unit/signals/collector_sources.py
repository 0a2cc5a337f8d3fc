"""What a collector is told, by sources that count as real ones do, and its answer by seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import Observation, Sample
from queue_proxy.messages import Stats

START = 1_700_000_000.0
REPLICA, ACTIVATOR = "chat-1", "activator/a"


@dataclass
class Proxy:
    """A source with a clock of its own and a constant load; counts as a real one does."""

    source: str = REPLICA
    epoch: str = "first"
    clock: float = 5_000.0
    running: int = 0
    waiting: int = 0
    rate: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0
    arrivals: float = 0.0
    completed: int = 0

    def after(self, seconds: float) -> Stats:
        """Let time pass, then read."""
        self.clock += seconds
        self.busy_seconds += self.running * seconds
        self.waiting_seconds += self.waiting * seconds
        self.arrivals += self.rate * seconds
        return self.read()

    def read(self) -> Stats:
        return Stats(
            source=self.source,
            epoch=self.epoch,
            at=self.clock,
            busy_seconds=self.busy_seconds,
            waiting_seconds=self.waiting_seconds,
            arrived=round(self.arrivals),
            completed=self.completed,
            running=self.running,
            waiting=self.waiting,
        )


def collect(collector: Collector, now: float, *ready: str) -> Observation:
    return collector.collect(now, ready=ready, present=ready)


def by_second(*pieces: Observation) -> dict[int, Sample]:
    """Samples of each second added up, seconds counted from the start."""
    total: dict[int, Sample] = {}
    for piece in pieces:
        for s in piece.samples:
            key = s.second - int(START)
            t = total.get(key, Sample(key, 0.0, 0.0))
            total[key] = Sample(key, t.concurrency + s.concurrency, t.rps + s.rps, t.waiting + s.waiting)
    return total


def area(*pieces: Observation) -> float:
    return math.fsum(sample.concurrency for piece in pieces for sample in piece.samples)
