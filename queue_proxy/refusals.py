"""What is said to a request that is refused here: why, and when to come again."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from queue_proxy.http import Answer, error_answer
from queue_proxy.limiter import QueueBounds
from queue_proxy.measurement import Measurement

_LONGEST_RETRY_AFTER = 60


class Refusal(Enum):
    """Why a request was refused."""

    QUEUE_FULL = "queue_full"
    WAITED_TOO_LONG = "waited_too_long"
    NOT_READY = "not_ready"
    ENDING = "ending"


class Line(Protocol):
    """The limiter, as far as it is told of."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        ...

    @property
    def running(self) -> int:
        """How many run."""
        ...

    @property
    def bounds(self) -> QueueBounds:
        """How many may wait, and how long."""
        ...


class Refusals:
    """Counts them, and has the words."""

    def __init__(
        self, limiter: Line, limit: int | None, measurement: Measurement, why_not_ready: Callable[[], str]
    ) -> None:
        """`limit` is how many run at once when the model is ready; the limiter's own is 0 before that."""
        self.counted = dict.fromkeys(Refusal, 0)
        self._limiter = limiter
        self._limit = limit
        self._measurement = measurement
        self._why_not_ready = why_not_ready
        self._full: tuple[tuple[int, int] | None, Answer] = (None, Answer(503))

    def answer(self, why: Refusal) -> Answer:
        """The answer to one that is refused now."""
        self._measurement.refused += 1
        self.counted[why] += 1
        retry_after = self.retry_after()
        if why is Refusal.QUEUE_FULL:
            return self._queue_full(retry_after)
        if why is Refusal.WAITED_TOO_LONG:
            text = f"the model was busy for the {self._limiter.bounds.seconds:g} s that a request may wait"
            return error_answer(429, text, retry_after=retry_after)
        if why is Refusal.ENDING:
            text = "this replica ended before it was this request's turn; another one can take it"
            return error_answer(503, text, retry_after=1, delivered=False)
        why_not = f"the model is not ready: {self._why_not_ready()}"
        return error_answer(503, why_not, retry_after=retry_after, delivered=False)

    def retry_after(self) -> int:
        """Whole seconds until those who are in line now will have been served (Little's law: their number times
        the mean service time, divided by how many are served at once)."""
        mean = self._measurement.mean_service_seconds() or 1.0
        seconds = (self._limiter.waiting + 1) * mean / (self._limit or max(self._limiter.running, 1))
        return max(1, min(_LONGEST_RETRY_AFTER, math.ceil(seconds)))

    def _queue_full(self, retry_after: int) -> Answer:
        """In a storm of retries it is needed thousands of times a second, always in the same words."""
        words = (retry_after, self._limiter.waiting)
        if words != self._full[0]:
            text = f"the queue is full: {self._limiter.waiting} requests wait"
            self._full = (words, error_answer(503, text, retry_after=retry_after))
        return self._full[1]
