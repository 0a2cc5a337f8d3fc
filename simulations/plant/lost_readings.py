"""Readings that are lost on their way: each replica is scraped by itself each second, and each scrape may fail.

What a controller makes of that is what `autoscaler.signals.collector` makes of it: a replica counts with its last word;
a second is handed on once all have told of it, or two seconds later without those that are missing, whose part follows
with their next reading, since counters are cumulative; and everything is as old as the word of whoever has been silent
for longest. What activators tell is pushed by them, and is not lost.

The plant knows sums. The parts of ready replicas in them are taken to be equal, as they nearly are where requests go to
whoever has most room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.signals.observation import Sample
from simulations.plant.core.draws import counted, share

# As in the collector: what is told of a second waits no longer than this for those that are missing.
_SECONDS_TO_WAIT = 2
# Parts that are missing for longer are not told any more; the plant does not keep seconds for ever.
_LONGEST_SILENCE = 100
# Numbers of `records.Told`: those that replicas report are its first.
_OF_REPLICAS = range(12)


class LostReadings:
    """Which replicas of one service have been heard, and when last."""

    def __init__(self, service: int, loss: float, stale_after: float, seed: int) -> None:
        """Nobody has been heard. Who is silent for longer than `stale_after` seconds is not waited for."""
        self._service, self._loss, self._stale_after, self._seed = service, loss, stale_after, seed
        self._heard = 0
        self._last: list[int] = []  # of each ready replica
        self._told: dict[int, float] = {}  # of seconds that not all have told of, the part that has been handed on
        self._complete = 0  # seconds before it have been handed on, apart from those

    @property
    def first_missing(self) -> int:
        """The first second of which something has not been handed on."""
        return min(self._told, default=self._complete)

    @property
    def oldest(self) -> int:
        """The second of the word of whoever has been silent longest."""
        return min(self._last, default=self._heard)

    def hear(self, heard: int, ready: int) -> None:
        """The scrapes of all seconds up to this one have come through or are lost."""
        self._heard = heard
        del self._last[ready:]
        self._last += [heard] * (ready - len(self._last))  # who becomes ready is heard then
        for place, last in enumerate(self._last):
            at = heard
            while at > last and self._lost(place, at):
                at -= 1
            self._last[place] = at

    def older(self) -> set[int]:
        """The seconds of those last words that are not of now."""
        return {second for second in self._last if second < self._heard}

    def mixed(self, now: Sequence[float], older: Mapping[int, Sequence[float]]) -> list[float]:
        """What `core.tell` wrote, each replica with its last word; `older` is what it wrote of those seconds."""
        out = list(now)
        if not older:
            return out
        heads = [older.get(second, now) for second in self._last]
        for k in _OF_REPLICAS:
            mean = sum(head[k] for head in heads) / len(heads)
            out[k] = int(mean) if isinstance(now[k], int) else mean
        return out

    def samples(self, seconds: Sequence[Sample]) -> list[Sample]:
        """What can be handed on of these seconds, which are all from `first_missing` on."""
        speaking = (last for last in self._last if last >= self._heard - self._stale_after)
        complete = max(self._complete, self._heard - _SECONDS_TO_WAIT, min(speaking, default=self._heard))
        handed = [sample for whole in seconds if whole.second < complete for sample in self._newly_told(whole)]
        self._told = {second: part for second, part in self._told.items() if second > self._heard - _LONGEST_SILENCE}
        self._complete = complete
        return handed

    def _newly_told(self, whole: Sample) -> list[Sample]:
        before = self._told.pop(whole.second, None)
        if before is None and whole.second < self._complete:
            return []
        part = 1.0
        if self._last:
            part = max(before or 0.0, sum(last > whole.second for last in self._last) / len(self._last))
        if part < 1.0:
            self._told[whole.second] = part
        waiting = whole.waiting if before is None else 0.0
        new = part - (before or 0.0)
        running = (whole.concurrency - whole.waiting) * new
        return [Sample(whole.second, running + waiting, whole.rps * new, waiting)] if new or waiting else []

    def _lost(self, place: int, second: int) -> bool:
        of_replica = counted(self._seed, self._service, place, 104)
        return share(counted(of_replica, second, 0, 104)) < self._loss
