"""Windows over gauges that a policy reads at its own pace: mean and maximum of what was recorded lately."""

from __future__ import annotations

from collections import deque


class RecentValues:
    """Values of the last `seconds`; one that is recorded in the same moment as another stands beside it."""

    __slots__ = ("_sum", "_values", "seconds")

    def __init__(self, seconds: float) -> None:
        """Nothing is recorded. `seconds` > 0."""
        self.seconds = seconds
        self._values: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def record(self, now: float, value: float) -> None:
        """Take a value and forget those that are `seconds` old or older."""
        self._values.append((now, value))
        self._sum += value
        while self._values[0][0] <= now - self.seconds:
            self._sum -= self._values.popleft()[1]

    @property
    def mean(self) -> float | None:
        """None before the first value. Not negative where no value is."""
        if not self._values:
            return None
        return self._sum / len(self._values) if len(self._values) > 1 else self._values[0][1]


class RecentMost:
    """The largest value of the last `seconds`."""

    __slots__ = ("_falling", "seconds")

    def __init__(self, seconds: float) -> None:
        """Nothing is recorded. `seconds` > 0."""
        self.seconds = seconds
        self._falling: deque[tuple[float, float]] = deque()  # without those that a later one is as large as

    def record(self, now: float, value: float) -> float:
        """Take a value and forget those that are `seconds` old or older; the largest of those that are left."""
        falling = self._falling
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((now, value))
        while falling[0][0] <= now - self.seconds:
            falling.popleft()
        return falling[0][1]
