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
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub

# A request that has left the hold's count is in a replica's within so many seconds.
_REACH = 2
# Counts are multiples of it: sums and differences of such numbers are exact, so that what is taken back leaves nothing.
_STEP = 2.0**-20


class BacklogLoad:
    """The seconds of the last backlogs that a window still holds: a column for each number, a row for each second."""

    __slots__ = (
        "_arrived",
        "_asked",
        "_clean",
        "_counted",
        "_first",
        "_oldest",
        "_pairs",
        "_running",
        "_settled",
        "_waiting",
    )

    def __init__(self) -> None:
        """No second belongs to a backlog."""
        self._first = 0  # the second of the first row; the others follow without a gap
        self._running: list[float] = []
        self._waiting: list[float] = []
        self._arrived: list[float] = []
        self._counted: list[float] = []  # the load by the last corrections, before it was rounded
        self._asked: tuple[float, float | None] = (0.0, None)  # by what they were counted
        self._clean = 0  # so many rows, from the first, have not changed since
        self._pairs = False  # something was counted off, which reaches back
        self._oldest = 0
        self._settled = True

    @property
    def settled(self) -> bool:
        """There are no corrections."""
        return self._settled

    def forget(self, oldest: int) -> None:
        """Seconds before `oldest` are in no window any more, and samples of them are not taken."""
        self._oldest = oldest
        if self._running and self._first < oldest:
            gone = oldest - self._first
            self._clean = 0 if self._pairs or any(self._arrived[:gone]) else max(0, self._clean - gone)
            for column in (self._running, self._waiting, self._arrived, self._counted):
                del column[:gone]
            self._first = oldest
            self._pairs = self._pairs and bool(self._running)
            self._settled = self._settled or not self._running

    def add(self, second: int, concurrency: float, arrived: float, waiting: float) -> None:
        """Take a sample of a second that belongs to a backlog."""
        if second < self._oldest:
            return
        if waiting > concurrency:
            waiting = concurrency
        self._settled = False
        if arrived < 0.0:
            self._pairs = True
        if arrived % 1.0:
            arrived = _rounded(arrived)
        row = second - self._first
        if row == len(self._running):  # as it nearly always is
            self._running.append(concurrency - waiting)
            self._waiting.append(waiting)
            self._arrived.append(arrived)
            self._counted.append(0.0)
            return
        if not 0 <= row < len(self._running):
            row = self._make_row(second)
        self._clean = min(self._clean, row)
        self._running[row] += concurrency - waiting
        self._waiting[row] += waiting
        self._arrived[row] += arrived

    def add_run(
        self, first: int, concurrency: Sequence[float], arrived: Sequence[float], waiting: Sequence[float]
    ) -> None:
        """Take samples of seconds that follow each other from `first` on, as `add` would one by one."""
        if first < self._oldest:
            gone, first = self._oldest - first, self._oldest
            concurrency, arrived, waiting = concurrency[gone:], arrived[gone:], waiting[gone:]
        if not concurrency:
            return
        if self._running and first != self._first + len(self._running):
            for second, sample in enumerate(zip(concurrency, arrived, waiting, strict=True), first):
                self.add(second, *sample)
            return
        if not self._running:
            self._first, self._clean = first, 0
        waiting = list(map(min, waiting, concurrency))
        self._running += map(sub, concurrency, waiting)
        self._waiting += waiting
        self._arrived += [_rounded(count) if count % 1.0 else count for count in arrived]
        self._counted += [0.0] * len(waiting)
        self._settled = False
        self._pairs = self._pairs or min(arrived) < 0.0

    def corrections(self, weight: float, service_seconds: float | None, *, over: bool) -> Iterator[tuple[int, float]]:
        """What to add to which second of the windows, since it was last asked. `over`: see above."""
        if self._settled:
            return
        self._settled = over and service_seconds is not None
        asked = weight, service_seconds
        clean = self._clean if asked == self._asked and not self._pairs else 0
        self._asked, self._clean = asked, len(self._running)
        rows = zip(self._running[clean:], self._waiting[clean:], strict=True)
        loads = [running + weight * waiting for running, waiting in rows]
        if service_seconds is not None:
            present = self._present(service_seconds, clean)
            loads = [load if load < most else most for load, most in zip(loads, present, strict=True)]
        before, self._counted[clean:] = self._counted[clean:], loads
        for second, (load, counted) in enumerate(zip(loads, before, strict=True), self._first + clean):
            if load != counted:
                more = _rounded(load) - _rounded(counted)
                if more:
                    yield second, more

    def _make_row(self, second: int) -> int:
        """For this second, and for those between it and the others."""
        if not self._running:
            self._first = second
        earlier = max(0, self._first - second)
        later = max(0, second - self._first + 1 - len(self._running))
        for column in (self._running, self._waiting, self._arrived, self._counted):
            column[:0] = [0.0] * earlier
            column += [0.0] * later
        self._first -= earlier
        if earlier:
            self._clean = 0
        return second - self._first

    def _present(self, service_seconds: float, first: int) -> list[float]:
        """For each second from row `first` on how many would be in service, were each served from the second it
        arrives in."""
        whole = math.floor(service_seconds)
        part = service_seconds - whole
        reach = max(0, first - whole)
        arrived = _without_pairs(self._arrived) if self._pairs else self._arrived[reach:]
        until = list(accumulate(arrived, initial=0.0))
        # All that came until the end of a second, without those who came more than `whole` seconds before its end, and
        # a part of those in the second before.
        longer_ago = min(whole, len(arrived))
        begun = until[1 : longer_ago + 1]
        present = begun + [
            end - ago + part * before for end, ago, before in zip(until[whole + 1 :], until[1:], arrived, strict=False)
        ]
        return present[first - reach :]


def _rounded(load: float) -> float:
    return round(load / _STEP) * _STEP


def _without_pairs(counts: list[float]) -> list[float]:
    """What was counted off in one second cancels what was counted in those next to it; nothing stays below 0."""
    arrived = list(counts)
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
    return arrived
