"""Activity: when a service was busy, how many replicas that took, and how long it was idle in between, as far as told.
What policies of functions-as-a-service know of a function.
"""

from __future__ import annotations

import math
from collections import deque

from simulations.plant.observed import Observed


class Activity:
    """One service's. `idle_since`: the end of the last second with a request; None: there was none yet.

    Gaps are known to the second: two requests within one, or in neighbouring ones, have none between them.
    """

    __slots__ = ("_needed", "_room", "busy", "idle_since")

    def __init__(self, room: int) -> None:
        """`room`: requests that one replica takes at a time."""
        self._room = room
        self._needed: deque[tuple[float, int]] = deque()  # falling: each is the most since the one before it
        self.busy = False
        self.idle_since: float | None = None

    def see(self, observed: Observed) -> list[float]:
        """Take what is newly told. Returns the gaps that have ended, in seconds."""
        gaps: list[float] = []
        for sample in observed.samples:
            if sample.concurrency > 0.0 or sample.rps > 0.0:
                self._load(sample.second, sample.second + 1.0, max(sample.concurrency, 1e-9), gaps)
        load = observed.in_flight + observed.held
        self.busy = load > 0.0
        if self.busy:
            self._load(observed.at, observed.at, load, gaps)
        return gaps

    def needed(self, now: float, seconds: float) -> int:
        """The most replicas that any moment of the last `seconds` needed."""
        while self._needed and self._needed[0][0] <= now - seconds:
            self._needed.popleft()
        return self._needed[0][1] if self._needed else 0

    def next_expiry(self, seconds: float) -> float | None:
        """When `needed` will fall if nobody comes."""
        return self._needed[0][0] + seconds if self._needed else None

    def _load(self, begin: float, end: float, load: float, gaps: list[float]) -> None:
        if self.idle_since is not None and begin > self.idle_since:
            gaps.append(begin - self.idle_since)
        self.idle_since = end if self.idle_since is None else max(end, self.idle_since)
        replicas = math.ceil(load / self._room - 1e-9)
        while self._needed and self._needed[-1][1] <= replicas:
            self._needed.pop()
        if not self._needed or self._needed[-1][0] < end:
            self._needed.append((end, replicas))
