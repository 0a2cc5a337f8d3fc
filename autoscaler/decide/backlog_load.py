"""BacklogLoad: what the seconds of a backlog count in the windows, so that the price of a start is not taken for load.

While nothing is ready requests pile up, and while the pile is worked off replicas run at their limit. Both follow from
the start-up delay; had replicas been there, neither would have happened. A window that held them would order replicas
once nobody waits any more. So a second that belongs to a backlog counts as

    load = min(running + w·waiting, present)

    present  requests that would be in service had each been served at once: those that arrived within the last S
             seconds, S the measured service time. Over any time that sums up to arrivals·S, whatever the delay was
             (Little's law, L = λ·W; at one moment the number in service of an M/G/∞ queue)
    w        min(1, T·S/(p·D)): as much as the backlog's candidate asks for one that waits (see `backlog`)

The first bound leaves the answer to a burst to the candidate, which drains it within D; the second keeps what goes on:
a rate λ asks for λ·S/T from the first second in which it is more than the pile. While S is unknown, as in the first
wake ever, a second counts as it was measured. What has been counted is put right as S and late samples become known,
until the backlog is over and S is known.

Arrivals are differences of counters of different processes: a request leaves the hold's count within a second or two
of entering a replica's. Such a pair is cancelled here, not taken for an arrival.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from autoscaler.signals.observation import Sample

# A request that has left the hold's count is in a replica's within so many seconds.
_REACH = 2
# Counts are multiples of it: sums and differences of such numbers are exact, so that what is taken back leaves nothing.
_STEP = 2.0**-20


@dataclass(slots=True)
class _Second:
    running: float = 0.0
    waiting: float = 0.0
    arrived: float = 0.0
    counted: float = 0.0


class BacklogLoad:
    """The seconds of the last backlogs that a window still holds."""

    __slots__ = ("_first", "_seconds", "_settled")

    def __init__(self) -> None:
        """No second belongs to a backlog."""
        self._seconds: dict[int, _Second] = {}
        self._first = 0  # the oldest of them
        self._settled = True

    @property
    def empty(self) -> bool:
        """No second of a backlog is remembered."""
        return not self._seconds

    def add(self, sample: Sample) -> None:
        """Take a sample of a second that belongs to a backlog."""
        second = self._seconds.get(sample.second)
        if second is None:
            if not self._seconds or sample.second < self._first:
                self._first = sample.second
            second = self._seconds[sample.second] = _Second()
        waiting = min(sample.waiting, sample.concurrency)
        second.running += sample.concurrency - waiting
        second.waiting += waiting
        second.arrived += sample.rps
        self._settled = False

    def corrections(
        self, oldest: int, weight: float, service_seconds: float | None, *, over: bool
    ) -> Iterator[tuple[int, float]]:
        """What to add to which second of the windows; seconds before `oldest` are forgotten. `over`: see above."""
        rows = self._seconds
        if rows and self._first < oldest:
            for second in [second for second in rows if second < oldest]:
                del rows[second]
            self._first = min(rows, default=0)
        if self._settled or not rows:
            return
        seconds = sorted(rows)
        present = None if service_seconds is None else self._present(seconds[-1], service_seconds)
        for second in seconds:
            row = rows[second]
            load = row.running + weight * row.waiting
            if present is not None and present[second - seconds[0]] < load:
                load = present[second - seconds[0]]
            load = round(load / _STEP) * _STEP
            if load != row.counted:
                yield second, load - row.counted
                row.counted = load
        self._settled = over and service_seconds is not None

    def _present(self, last: int, service_seconds: float) -> list[float]:
        """For each second from the oldest to `last` how many would be in service, were each served from the second it
        arrives in."""
        arrived = [0.0] * (last - self._first + 1)
        for second, row in self._seconds.items():
            arrived[second - self._first] = row.arrived
        if min(arrived) < 0.0:
            _cancel_pairs(arrived)
        whole = math.floor(service_seconds)
        part = service_seconds - whole
        until = list(accumulate(arrived, initial=0.0))
        # All that came until the end of a second, without those who came more than `whole` seconds before its end, and
        # a part of those in the second before.
        longer_ago = min(whole, len(arrived))
        begun = until[1 : longer_ago + 1]
        return begun + [
            end - ago + part * before for end, ago, before in zip(until[whole + 1 :], until[1:], arrived, strict=False)
        ]


def _cancel_pairs(arrived: list[float]) -> None:
    """What was counted off in one second cancels what was counted in those next to it; nothing stays below 0."""
    for at, count in enumerate(arrived):
        if count >= 0.0:
            continue
        for distance in range(1, _REACH + 1):
            for other in (at + distance, at - distance):
                if 0 <= other < len(arrived) and arrived[other] > 0.0:
                    cancelled = min(arrived[other], -arrived[at])
                    arrived[other] -= cancelled
                    arrived[at] += cancelled
        arrived[at] = max(0.0, arrived[at])
