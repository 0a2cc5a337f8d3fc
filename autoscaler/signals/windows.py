"""Windows: averages over the last seconds, in one-second buckets, with Knative's meaning to the letter.

A window is written by the second and read at any time. What makes averages of autoscalers surprising is not the
sum but the edges, so they are stated here and pinned by a table in the tests:

- A window that is only partly filled divides by the seconds since its first write (linear), or does not: the
  weighted average is not normalised, so the first second of a 60 s window reports a fifth of the load.
- A second in which nothing was written, between two that were, is a zero.
- Reading later than the last write drops the oldest seconds. Linear divides by what remains; weighted inserts zeros.
- A write older than the window is ignored; a younger one is accepted, however late it comes.
- A write after a silence of a whole window starts anew.

Writes and reads cost the same however long the window is: both kinds keep a running sum. Running sums of floats
drift; the linear one is added up afresh once per turn of the ring, and a window whose buckets are all zero reads 0.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Protocol

from autoscaler.policy.scaling_policy import Aggregation

_LEAST_COEFFICIENT = 0.2
_WEIGHT_COVERED = 0.9999
_DIGITS = 1e6


class Resize(Enum):
    """What a resized window remembers of how far it was filled.

    FORGETS_FILL is Knative's: afterwards the window counts as if it had been full before, so a fresh 60 s window
    that held 60 in its only second reads 1 and no longer 60. KEEPS_FILL is ours: the average of what it holds
    stays what it was.
    """

    FORGETS_FILL = "forgets-fill"
    KEEPS_FILL = "keeps-fill"


class Window(Protocol):
    """An average over the last `seconds` seconds. Times are whole seconds of one clock."""

    @property
    def seconds(self) -> int:
        """The length of the window."""
        ...

    def record(self, second: int, value: float) -> None:
        """Add `value` to what happened in `second`. Values of one second add up."""
        ...

    def record_silence(self, first: int, last: int) -> None:
        """As `record` of 0 for each second from `first` to `last`, both included."""
        ...

    def average(self, now: int) -> float:
        """The average as seen in second `now`; 0 when nothing was written in the window."""
        ...

    def empty(self, now: int) -> bool:
        """Nothing was written for longer than the window: its average means nothing."""
        ...

    def most(self) -> float:
        """At least the largest second that any average from now on can hold of what was written so far."""
        ...

    def resize(self, seconds: int, how: Resize) -> None:
        """Change the length, keeping the newest seconds."""
        ...


def make_window(seconds: int, aggregation: Aggregation) -> Window:
    """An empty window of `seconds` ≥ 1 whole seconds. Raises ValueError for less."""
    if aggregation is Aggregation.LINEAR:
        return LinearWindow(seconds)
    return ExponentialWindow(seconds)


def panic_window_seconds(stable_seconds: float, fraction: float) -> int:
    """Whole seconds of the panic window: a fraction of the stable one, rounded half away from zero, at least 1."""
    return max(1, math.floor(stable_seconds * fraction + 0.5))


def arrivals_window_seconds(stable_seconds: float, fraction: float) -> int:
    """Whole seconds over which arrivals are counted: the panic window, but at least three.

    A second is told up to two seconds late, so that a window of one or two would mostly hold nothing.
    """
    return max(3, panic_window_seconds(stable_seconds, fraction))


def smoothing_coefficient(seconds: int) -> float:
    """α of a weighted window of n seconds: the weights α(1−α)^k of its n buckets sum to 0.9999, but α is at least 0.2.

    n = 6 → 0.78456; n ≥ 60 → 0.2. (Knative: max(0.2, 1 − (1 − 0.9999)^(1/n)).)
    """
    return max(_LEAST_COEFFICIENT, 1.0 - math.pow(1.0 - _WEIGHT_COVERED, 1.0 / seconds))


def round_six(value: float) -> float:
    """Rounded to six digits after the point, half away from zero (Python's `round` goes half to even)."""
    if value < 0.0:
        return 0.0 - round_six(-value)
    scaled = value * _DIGITS
    if scaled >= 2.0**52:  # no fraction left to round, and adding a half would lose its lowest bit
        return value
    return math.floor(scaled + 0.5) / _DIGITS


class _Ring:
    """The buckets of the last `seconds` seconds, and when the first and the last of them were written."""

    __slots__ = ("_buckets", "_first", "_last", "seconds")

    def __init__(self, seconds: int) -> None:
        if seconds < 1:
            raise ValueError(f"a window has at least one second, not {seconds}")
        self.seconds = seconds
        self._buckets = [0.0] * seconds
        self._first = 0
        self._last: int | None = None

    def empty(self, now: int) -> bool:
        """Strictly more than the window has passed since the last write."""
        return self._last is None or now - self._last > self.seconds

    def most(self) -> float:
        """See Window.most."""
        return max(self._buckets)

    def _newest_first(self) -> list[float]:
        last, size = self._last, self.seconds
        return [] if last is None else [self._buckets[(last - k) % size] for k in range(size)]

    def _refill(self, seconds: int, how: Resize) -> None:
        """Give the ring `seconds` buckets and put the newest of the old ones back."""
        kept = self._newest_first()[:seconds]
        if self._last is not None:
            full_since = self._last - (self.seconds - 1)
            # Seconds before the old window are gone, not zero: a longer window starts where the old one did.
            self._first = full_since if how is Resize.FORGETS_FILL else max(self._first, full_since)
        self.seconds = seconds
        self._buckets = [0.0] * seconds
        for k, value in enumerate(kept):
            self._buckets[((self._last or 0) - k) % seconds] = value


class LinearWindow(_Ring):
    """The sum of the valid buckets divided by their number, rounded to six digits."""

    __slots__ = ("_total",)

    def __init__(self, seconds: int) -> None:
        """An empty window; raises ValueError when `seconds` < 1."""
        super().__init__(seconds)
        self._total = 0.0

    def record(self, second: int, value: float) -> None:
        """See Window.record."""
        last, index = self._last, second % self.seconds
        if last is not None and second == last + 1 and index:  # as it nearly always is, but for once a turn of the ring
            self._total -= self._buckets[index]
            self._buckets[index] = 0.0
            self._last = second
        elif second != last:
            if last is None or second - last >= self.seconds:
                self._restart(second)
            elif second > last:
                self._advance(last, second)
            elif second <= last - self.seconds:
                return
            elif second < self._first:
                self._first = second
        self._buckets[index] += value
        self._total += value

    def record_silence(self, first: int, last: int) -> None:
        """See Window.record_silence."""
        newest = self._last
        if newest is None or first < newest or self.seconds == 1:
            for second in range(first, last + 1):
                self.record(second, 0.0)
            return
        self.record(first, 0.0)
        if last > first:
            self._advance(first, last)

    def average(self, now: int) -> float:
        """See Window.average."""
        last = self._last
        if last is None:
            return 0.0
        silent = now - last
        filled = last - self._first + 1
        if silent <= 0:
            return round_six(self._total / min(filled, self.seconds))
        if silent >= self.seconds:
            return 0.0
        size, buckets, total = self.seconds, self._buckets, self._total
        for second in range(last + 1, now + 1):
            total -= buckets[second % size]
        return round_six(total / min(filled, size - silent))

    def resize(self, seconds: int, how: Resize) -> None:
        """See Window.resize."""
        if seconds != self.seconds:
            self._refill(seconds, how)
            self._total = math.fsum(self._buckets)

    def _restart(self, second: int) -> None:
        self._buckets = [0.0] * self.seconds
        self._total = 0.0
        self._first = self._last = second

    def _advance(self, last: int, second: int) -> None:
        """Everything between the last write and this one is zero now, and what was a window ago is gone."""
        size, buckets = self.seconds, self._buckets
        self._last = second
        if second - last >= size:
            self._buckets, self._total = [0.0] * size, 0.0
            return
        if self._total == 0.0 and not any(buckets):
            return
        begin, end = (last + 1) % size, second % size + 1
        if begin == 0 or end <= begin:  # past the end of the ring: add up afresh
            if begin:
                buckets[begin:] = [0.0] * (size - begin)
            buckets[0] = 0.0
            self._total = math.fsum(buckets)
            begin = 1
        for bucket in buckets[begin:end]:
            self._total -= bucket
        buckets[begin:end] = [0.0] * (end - begin)


class ExponentialWindow(_Ring):
    """Σ v_k·α(1−α)^k from the newest second (k = 0) to the oldest. Not normalised, not rounded."""

    __slots__ = ("_alpha", "_nonzero", "_weighted")

    def __init__(self, seconds: int) -> None:
        """An empty window; raises ValueError when `seconds` < 1."""
        super().__init__(seconds)
        self._alpha = smoothing_coefficient(seconds)
        self._weighted = 0.0  # the sum, as of the last write
        self._nonzero = 0

    def record(self, second: int, value: float) -> None:
        """See Window.record."""
        last = self._last
        if last is None or second - last >= self.seconds:
            self._buckets = [0.0] * self.seconds
            self._weighted, self._nonzero = 0.0, 0
            self._first = self._last = last = second
        elif second > last:
            self._weighted, self._nonzero = self._passed(last, second)
            for passed in range(last + 1, second + 1):
                self._buckets[passed % self.seconds] = 0.0
            self._last = last = second
        elif second <= last - self.seconds:
            return
        index = second % self.seconds
        before = self._buckets[index]
        after = self._buckets[index] = before + value
        self._nonzero += (after != 0.0) - (before != 0.0)
        self._weighted += value * self._alpha * math.pow(1.0 - self._alpha, last - second)

    def record_silence(self, first: int, last: int) -> None:
        """See Window.record_silence."""
        for second in range(first, last + 1):
            self.record(second, 0.0)

    def average(self, now: int) -> float:
        """See Window.average. Positive as long as one bucket in the window is, however old it is."""
        last = self._last
        if last is None or now - last > self.seconds:
            return 0.0
        weighted, nonzero = (self._weighted, self._nonzero) if now <= last else self._passed(last, now)
        if nonzero == 0:
            return 0.0
        return max(weighted, math.ulp(0.0))

    def resize(self, seconds: int, how: Resize) -> None:
        """See Window.resize. α follows the new length."""
        if seconds == self.seconds:
            return
        self._refill(seconds, how)
        self._alpha = smoothing_coefficient(seconds)
        newest_first = self._newest_first()
        self._nonzero = sum(value != 0.0 for value in newest_first)
        self._weighted = math.fsum(
            value * self._alpha * math.pow(1.0 - self._alpha, k) for k, value in enumerate(newest_first)
        )

    def _passed(self, last: int, now: int) -> tuple[float, int]:
        """The weighted sum and the number of buckets that are not zero, once seconds without a write have passed."""
        decay = 1.0 - self._alpha
        weighted, nonzero = self._weighted, self._nonzero
        leaves_with = self._alpha * math.pow(decay, self.seconds)
        for second in range(last + 1, now + 1):
            leaving = self._buckets[second % self.seconds]
            weighted *= decay
            if leaving != 0.0:
                weighted -= leaving * leaves_with
                nonzero -= 1
        return (weighted, nonzero) if nonzero else (0.0, 0)
