"""Timers: what the activator's objects need of an event loop, and the one alarm that each of them has.

Ten thousand waiting requests must not be ten thousand timers. Their deadlines are in order already, so one timer for
the first of them is enough; it is set anew when it rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

# An event loop counts in milliseconds; a timer that rings a moment too early would ring again and again until then.
_SOONEST_SECONDS = 0.001


class Timers(Protocol):
    """The two methods of an event loop that are needed; tests put virtual time behind them."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call back after `delay` seconds."""
        ...

    def call_soon(self, callback: Callable[[], object], /) -> asyncio.Handle:
        """Call back in the next turn of the loop."""
        ...


class Alarm:
    """Rings at the earliest time that it was set to, perhaps earlier than needed: who is called looks what is due."""

    __slots__ = ("_at", "_clock", "_handle", "_rings", "_timers")

    def __init__(self, timers: Timers, clock: Callable[[], float], rings: Callable[[], None]) -> None:
        self._timers = timers
        self._clock = clock
        self._rings = rings
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0.0

    def set(self, at: float | None) -> None:
        """Ring at `at` (by the clock), or when it was to ring already if that is earlier. None changes nothing."""
        if at is None or (self._handle is not None and self._at <= at):
            return
        self.cancel()
        self._at = at
        self._handle = self._timers.call_later(max(_SOONEST_SECONDS, at - self._clock()), self._ring)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._rings()
