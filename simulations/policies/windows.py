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

    @property
    def most(self) -> float | None:
        """The largest."""
        return max((value for _, value in self._values), default=None)
