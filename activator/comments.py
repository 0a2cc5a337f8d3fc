"""A sign of life for clients that wait: server-sent comments, for those that ask for them.

A client that waits minutes for a model to load cannot tell that from a connection that has died, and proxies on the
way close connections on which nothing moves. A client that sends `pilotlight-wait: comments` gets an event stream that
begins while it waits, with a comment every few seconds, which every SSE client skips. The price is that its status is
200 from then on: a refusal arrives as an `error` event. So nothing is sent before the first interval is over: short
waits keep their true status.

One timer serves all waiters of all services.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from activator.timers import Alarm, Timers

WAIT_HEADER = b"pilotlight-wait"
WANTS_COMMENTS = b"comments"

# Whoever comes when so many get them waits in silence.
_MOST = 10_000
# In one turn of the loop, so that ten thousand waiters do not stop the traffic.
_AT_ONCE = 200


class Waiting(Protocol):
    """A waiting request that asked for comments."""

    def send_comment(self, now: float) -> None:
        """Say that it still waits, and for what."""
        ...


class WaitComments:
    """Everybody who gets comments, in the order in which the next one is due: one each `every` seconds, 0 for none."""

    def __init__(self, timers: Timers, clock: Callable[[], float], every: float) -> None:
        self._alarm = Alarm(timers, clock, self._send_due)
        self._clock = clock
        self._every = every
        self._due: OrderedDict[Waiting, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, waiting: Waiting) -> None:
        """Send comments to `waiting` until it is discarded."""
        if self._every > 0 and len(self._due) < _MOST:
            self._due[waiting] = self._clock() + self._every
            self._set_alarm()

    def discard(self, waiting: Waiting) -> None:
        """It waits no longer."""
        self._due.pop(waiting, None)

    def _send_due(self) -> None:
        now = self._clock()
        for _ in range(min(_AT_ONCE, len(self._due))):
            waiting, due = next(iter(self._due.items()))
            if due > now:
                break
            self._due[waiting] = now + self._every
            self._due.move_to_end(waiting)
            waiting.send_comment(now)
        self._set_alarm()

    def _set_alarm(self) -> None:
        for due in self._due.values():
            self._alarm.set(due)
            return
