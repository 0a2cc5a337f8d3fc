"""Deadlines without timers: owners stand in buckets of a tenth of a second, and one sweep opens those that are due.

A timer per request would cost more than the request's head. An owner stands in at most one bucket; when it
opens, the owner looks for itself whether something is overdue and says when to look again. So activity on a
connection costs nothing here: nobody moves a deadline for every byte, the owner just answers "later".
"""

from __future__ import annotations

import heapq
import math
from typing import Protocol

TICK = 0.1
"""Seconds: how coarse the buckets are, and how late a deadline may be noticed."""

NEVER = math.inf


class Expiring(Protocol):
    """Something with deadlines. `bucket` belongs to Deadlines and starts at 0."""

    bucket: int

    def expire(self, now: float) -> float:
        """Act on what is overdue at `now`; returns when to be asked again, NEVER for not at all."""
        ...


class Deadlines:
    """Asks each owner when its time has come. `now` and `at` are seconds of one clock."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Expiring, None]] = {}
        self._order: list[int] = []

    def schedule(self, owner: Expiring, at: float) -> None:
        """Have `owner` asked not later than `at` (and a tick); an earlier appointment stays."""
        if at == NEVER:
            return
        bucket = max(1, math.ceil(at / TICK))
        if owner.bucket:
            if owner.bucket <= bucket:
                return
            self.forget(owner)
        owners = self._buckets.get(bucket)
        if owners is None:
            owners = self._buckets[bucket] = {}
            heapq.heappush(self._order, bucket)
        owners[owner] = None
        owner.bucket = bucket

    def forget(self, owner: Expiring) -> None:
        """Never ask `owner` again, unless it is scheduled anew."""
        if owner.bucket:
            self._buckets[owner.bucket].pop(owner, None)
            owner.bucket = 0

    def sweep(self, now: float) -> None:
        """Open every bucket that is due at `now`."""
        due = math.floor(now / TICK)
        while self._order and self._order[0] <= due:
            bucket = heapq.heappop(self._order)
            owners = self._buckets[bucket]
            while owners:
                owner, _ = owners.popitem()
                owner.bucket = 0
                self.schedule(owner, max(owner.expire(now), now + TICK))
            del self._buckets[bucket]
