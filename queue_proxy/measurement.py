"""Measurement: how much was running and waiting, exactly, at the price of two additions per event.

Load is measured as an area: the number of requests that run, times how long it was that number. The area only
grows, so the average over any interval is a difference of two readings, and a reading that got lost changes
nothing. (Little's law says that this average is arrival rate times mean time spent, which is why it is the signal
to scale on.) Sampling the number every second instead would miss every burst shorter than that.

History is kept by the second, as runs of seconds that look alike: an hour without a request, or with one long
request, is one entry. So an event after an hour of silence costs the same as any other.

The queue proxy has one of these, an activator one for each service. It reads no clock: the caller passes the time.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from queue_proxy.messages import EngineStats, SecondStats, Stats

HISTORY_SECONDS = 600


class _Run(NamedTuple):
    """`length` whole seconds that follow each other, alike: request-seconds running and waiting, arrivals in each."""

    end: int
    length: int
    busy: float
    waited: float
    arrived: int


class Measurement:
    """Running and waiting over time, for one source and one service.

    The caller reports events in the order in which they happen, each with its time in seconds of one monotonic
    clock. Times that go backwards count as the latest time seen. `completed`, `refused`, `failed`, `abandoned`
    and `service_seconds` carry no time: their owner adds to them. `ready_at` is set by whoever learns it.
    Meanings are those of the fields of `Stats`.
    """

    __slots__ = (
        "_arrived_before",
        "_busy",
        "_busy_before",
        "_history",
        "_now",
        "_second_end",
        "_waited",
        "_waited_before",
        "abandoned",
        "arrived",
        "completed",
        "epoch",
        "failed",
        "first_request_at",
        "history_seconds",
        "ready_at",
        "refused",
        "running",
        "service_seconds",
        "source",
        "started_at",
        "waiting",
    )

    def __init__(self, source: str, epoch: str, now: float, history_seconds: int = HISTORY_SECONDS) -> None:
        """`source` and `epoch` as in Stats; `history_seconds` whole seconds are kept."""
        self.source = source
        self.epoch = epoch
        self.started_at = now
        self.history_seconds = history_seconds
        self.running = 0
        self.waiting = 0
        self.arrived = 0
        self.completed = 0
        self.refused = 0
        self.failed = 0
        self.abandoned = 0
        self.service_seconds = 0.0
        self.ready_at: float | None = None
        self.first_request_at: float | None = None
        self._now = now
        self._busy = 0.0
        self._waited = 0.0
        # The second that is running now, and what the totals were when it began.
        self._second_end = math.floor(now) + 1
        self._busy_before = 0.0
        self._waited_before = 0.0
        self._arrived_before = 0
        self._history: deque[_Run] = deque()

    def arrive(self, now: float) -> None:
        """A request came in."""
        if now != self._now:
            self.advance(now)
        self.arrived += 1

    def enqueue(self, now: float) -> None:
        """A request begins to wait."""
        self.advance(now)
        self.waiting += 1

    def dequeue(self, now: float) -> None:
        """A request stops waiting, whatever comes of it."""
        self.advance(now)
        self.waiting -= 1

    def start(self, now: float) -> None:
        """A request is forwarded."""
        if now != self._now:
            self.advance(now)
        self.running += 1
        if self.first_request_at is None:
            self.first_request_at = now

    def finish(self, now: float) -> None:
        """A forwarded request ends, whatever came of it."""
        self.advance(now)
        self.running -= 1

    def advance(self, now: float) -> None:
        """Bring the areas up to `now`."""
        if now >= self._second_end:
            self._close_seconds(now)
        elapsed = now - self._now
        if elapsed > 0:
            self._busy += self.running * elapsed
            self._waited += self.waiting * elapsed
            self._now = now

    def stats(
        self,
        now: float,
        *,
        held_bytes: int = 0,
        engine: EngineStats | None = None,
        seconds: int = 0,
    ) -> Stats:
        """A reading, with the last `seconds` whole seconds of history (as many as there are)."""
        self.advance(now)
        return Stats(
            source=self.source,
            epoch=self.epoch,
            at=self._now,
            busy_seconds=self._busy,
            waiting_seconds=self._waited,
            arrived=self.arrived,
            completed=self.completed,
            refused=self.refused,
            failed=self.failed,
            abandoned=self.abandoned,
            service_seconds=self.service_seconds,
            running=self.running,
            waiting=self.waiting,
            held_bytes=held_bytes,
            ready_at=self.ready_at,
            first_request_at=self.first_request_at,
            engine=engine,
            seconds=self._last(seconds),
        )

    def mean_service_seconds(self) -> float | None:
        """How long a completed request took from forwarding to its last byte, on average; None before the first."""
        return self.service_seconds / self.completed if self.completed else None

    def _close_seconds(self, now: float) -> None:
        """The running second is over: remember it, and as one run those that passed since without an event."""
        rest = max(0.0, self._second_end - self._now)
        self._busy += self.running * rest
        self._waited += self.waiting * rest
        busy, waited = self._busy - self._busy_before, self._waited - self._waited_before
        self._remember(_Run(self._second_end, 1, busy, waited, self.arrived - self._arrived_before))
        silent = math.floor(now) - self._second_end
        if silent > 0:
            self._second_end += silent
            self._busy += self.running * silent
            self._waited += self.waiting * silent
            self._remember(_Run(self._second_end, silent, self.running, self.waiting, 0))
        self._now = self._second_end
        self._second_end += 1
        self._busy_before, self._waited_before = self._busy, self._waited
        self._arrived_before = self.arrived

    def _remember(self, run: _Run) -> None:
        history = self._history
        if history and history[-1][2:] == run[2:]:  # seconds follow each other without a gap
            run = run._replace(length=history.pop().length + run.length)
        history.append(run)
        oldest = run.end - self.history_seconds
        while history and history[0].end <= oldest:
            history.popleft()

    def _last(self, seconds: int) -> tuple[SecondStats, ...]:
        """The last whole seconds, oldest first; of a silence only the first and the last one."""
        wanted = min(seconds, self.history_seconds)
        rows: list[SecondStats] = []
        for run in reversed(self._history):
            length = min(run.length, wanted)
            silent = not (run.busy or run.waited or run.arrived)
            for back in range(0, length, max(1, length - 1) if silent else 1):
                rows.append(SecondStats(self._now - (run.end - back), run.busy, run.waited, run.arrived))
            wanted -= length
        rows.reverse()
        return tuple(rows)
