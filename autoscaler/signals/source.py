"""Source: one queue proxy or activator as the receiver of its Stats sees it.

A source counts; the difference of two of its readings is what happened between them. This module turns readings
into Spans on the receiver's clock. Four things would otherwise go wrong:

- The source's clock is another one. The least delayed message tells the distance of the two clocks best; it is
  allowed to grow slowly, since clocks of two machines drift apart.
- The first reading is read late, as by a controller that has just begun and is busy. It has then put the history that
  it brought along as much too late, over seconds that later readings tell of; those would be counted twice.
- A source restarts. Its counters then began at zero after the last reading, so all they hold is new.
- Readings overtake each other on the way. An older one than the last says nothing new and is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from autoscaler.signals.value_type import value_type
from queue_proxy.messages import Stats

ACTIVATOR_PREFIX = "activator/"

# More than this at one source is not honest; sums of larger numbers could leave what a float can hold.
_MOST_AT_ONCE = 1e6
# Clocks of two machines drift by less than this many seconds per second.
_DRIFT = 0.0005
_MOST_COMPLETIONS_REMEMBERED = 100.0


@value_type(frozen=True)
class Span:
    """What one source did between two moments of the receiver's clock.

    `load` is the request-seconds that count as load, `waiting` the part of them spent waiting, `arrived` the
    requests it adds to the service's arrivals (see `Source`).
    """

    start: float
    end: float
    load: float
    waiting: float
    arrived: float

    def by_second(self) -> Iterator[tuple[int, float, float, float]]:
        """(second, load, waiting, arrived), each shared out evenly over the time that the span covers."""
        first, last = math.floor(self.start), math.floor(self.end)
        length = self.end - self.start
        if last <= first or length <= 0.0:
            yield last, self.load, self.waiting, self.arrived
            return
        for second in range(first, last + 1):
            begin = self.start if second == first else second
            end = self.end if second == last else second + 1
            share = (end - begin) / length
            if share > 0.0:
                yield second, self.load * share, self.waiting * share, self.arrived * share


class Source:
    """The readings of one source, differenced.

    Of a replica, running and waiting requests are load, and each arrival is one. Of an activator only those that
    wait are: what it has forwarded is in a replica's numbers. Its arrivals are therefore those it has refused or
    still holds; one that it forwards leaves its count as the replica counts it.
    """

    __slots__ = (
        "_ended_epoch", "_history_offset", "_offset", "completed", "heard_at", "is_activator", "service_seconds",
        "stats",
    )  # fmt: skip

    def __init__(self, stats: Stats, now: float) -> None:
        """Begin with the first reading that is seen of this source."""
        self.is_activator = stats.source.startswith(ACTIVATOR_PREFIX)
        self.stats = stats
        self.heard_at = now  # when the last reading was taken, on the receiver's clock
        self.completed = 0.0  # since they were taken last, see ServiceTime
        self.service_seconds = 0.0
        self._offset = now - stats.at
        # Of the past as it was told; without a history none was, and nothing can be told twice.
        self._history_offset = self._offset if stats.seconds else -math.inf
        self._ended_epoch = ""
        if stats.completed:
            counted = min(_MOST_COMPLETIONS_REMEMBERED, stats.completed)
            self.completed = counted
            self.service_seconds = stats.service_seconds / stats.completed * counted

    def history(self) -> list[Span]:
        """The past that the first reading brought along, up to the moment it was taken.

        The part of a second between its last whole second and that moment is filled with what was in flight then.
        """
        stats, spans = self.stats, []
        for row in stats.seconds:
            load = row.waited if self.is_activator else row.busy + row.waited
            end = self.heard_at - row.age
            arrived = 0.0 if self.is_activator else float(row.arrived)
            spans.append(Span(end - 1.0, end, _bounded(load, 1.0), _bounded(row.waited, 1.0), arrived))
        if stats.seconds:
            rest = min(1.0, min(row.age for row in stats.seconds))
            load = float(stats.waiting) if self.is_activator else stats.running + stats.waiting
            spans.append(
                Span(
                    self.heard_at - rest,
                    self.heard_at,
                    _bounded(load * rest, 1.0),
                    _bounded(stats.waiting * rest, 1.0),
                    0.0,
                )
            )
        return spans

    def receive(self, stats: Stats, now: float) -> Span | None:
        """What happened since the last reading; None when this one is older than it."""
        last = self.stats
        if stats.epoch == self._ended_epoch or (stats.epoch == last.epoch and stats.at < last.at):
            return None
        restarted = stats.epoch != last.epoch
        if restarted:
            self._ended_epoch = last.epoch
            self._offset = now - stats.at
            self._history_offset = -math.inf
            last = Stats(source=stats.source, epoch=stats.epoch, at=stats.at)
        else:
            grown = self._offset + (stats.at - last.at) * _DRIFT
            self._offset = min(grown, now - stats.at)
        start, end = self.heard_at, max(self.heard_at, stats.at + self._offset)
        self.stats, self.heard_at = stats, end
        return self._difference(last, stats, start, end, self._not_told_yet(stats.at - last.at))

    def _not_told_yet(self, seconds: float) -> float:
        """The part of the last `seconds` in whose place no past stands that was told too late.

        That past stays: it has been handed on. So the windows hold as much as there was, some of it a little too late,
        and of what is new as many seconds are left out.
        """
        too_late = self._history_offset - self._offset
        if too_late <= 0.0 or seconds <= 0.0:
            return 1.0
        told = min(too_late, seconds)
        self._history_offset -= told
        return 1.0 - told / seconds

    def _difference(self, last: Stats, stats: Stats, start: float, end: float, new: float) -> Span:
        """What the span says of which the part `new` is to be told."""
        self.completed += max(0, stats.completed - last.completed)
        self.service_seconds += max(0.0, stats.service_seconds - last.service_seconds)
        length = end - start
        waiting = _bounded(stats.waiting_seconds - last.waiting_seconds, length) * new
        if self.is_activator:
            # Told whole: who is counted as he enters the hold is taken off as he leaves it.
            arrived = (stats.refused + stats.waiting) - (last.refused + last.waiting)
            return Span(start, end, waiting, waiting, _bounded_either_way(arrived, length))
        load = waiting + _bounded(stats.busy_seconds - last.busy_seconds, length) * new
        arrivals = _bounded_either_way(max(0, stats.arrived - last.arrived), length) * new
        return Span(start, end, load, waiting, arrivals)


def _bounded(request_seconds: float, length: float) -> float:
    if 0.0 <= request_seconds <= _MOST_AT_ONCE:  # as it nearly always is
        return request_seconds
    return min(max(0.0, request_seconds), _MOST_AT_ONCE * max(1.0, length))


def _bounded_either_way(count: float, length: float) -> float:
    if -_MOST_AT_ONCE <= count <= _MOST_AT_ONCE:
        return float(count)
    most = _MOST_AT_ONCE * max(1.0, length)
    return min(max(-most, float(count)), most)
