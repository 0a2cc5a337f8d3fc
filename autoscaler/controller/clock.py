"""One clock for everything the controller stamps.

Decisions carry wall time, because people and other processes read them; windows and delays need a clock that never
goes backwards, because a step of the machine's time must not look like an hour of idleness. So: monotonic time, moved
once, at the start, to where the wall clock was.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970 that never go backwards."""


def anchored_clock(wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """A monotonic clock that agrees with `wall` now, and ignores every later step of it."""
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
