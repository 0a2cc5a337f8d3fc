"""Endpoints by their number of requests in flight, so that picking does not cost more with more of them.

All have the same capacity, so the one with most room is any of the lowest bucket; the one that has been there longest
is taken, which deals equal endpoints out in turn.
"""

from __future__ import annotations

from collections import OrderedDict

from activator.endpoint_load import EndpointLoad


class LoadBuckets:
    """Those endpoints that count for themselves and are ready. While one is here, only this object changes what it has
    in flight."""

    __slots__ = ("_buckets", "_least")

    def __init__(self) -> None:
        self._buckets: dict[int, OrderedDict[EndpointLoad, None]] = {}
        self._least = 0

    def first(self, below: int = 0) -> EndpointLoad | None:
        """One with least in flight, None when nobody has less than `below` (0: any number will do)."""
        if self._buckets and (below <= 0 or self._least < below):
            return next(iter(self._buckets[self._least]))
        return None

    def enter(self, load: EndpointLoad) -> None:
        """One more endpoint, with what it has in flight already."""
        bucket = self._buckets.get(load.in_flight)
        if bucket is None:
            bucket = self._buckets[load.in_flight] = OrderedDict()
            if len(self._buckets) == 1 or load.in_flight < self._least:
                self._least = load.in_flight
        bucket[load] = None

    def leave(self, load: EndpointLoad) -> None:
        """It is here no longer."""
        bucket = self._buckets[load.in_flight]
        del bucket[load]
        if not bucket:
            del self._buckets[load.in_flight]
            if load.in_flight == self._least and self._buckets:
                # One step further when a request was given out, which is nearly always.
                above = self._least + 1
                self._least = above if above in self._buckets else min(self._buckets)

    def move(self, load: EndpointLoad, by: int) -> None:
        """One more or one less is in flight there."""
        before, after = load.in_flight, load.in_flight + by
        buckets = self._buckets
        bucket = buckets[before]
        if len(bucket) > 1 or after in buckets:
            self.leave(load)
            load.in_flight = after
            self.enter(load)
            return
        # Alone, and so it stays: with few endpoints that is the usual case, and a new bucket costs more than all else.
        del buckets[before]
        buckets[after] = bucket
        load.in_flight = after
        if before == self._least:
            self._least = after
