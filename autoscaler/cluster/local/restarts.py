"""When a replica that has ended is started again. Pure.

The first retry is at once: a request may be waiting, and most first failures (a lost port, a killed process) do not
come back. After that the delay doubles, so that a model that cannot start does not keep the machine busy trying.
"""

from __future__ import annotations

LONGEST_DELAY = 60.0
READY_FOR_RESET = 60.0
"""Seconds of readiness after which earlier failures no longer count."""


def failures_after(before: int, ready_seconds: float | None) -> int:
    """Failures in a row, this one included; `ready_seconds` is how long the replica was ready, None for never."""
    return 1 if ready_seconds is not None and ready_seconds >= READY_FOR_RESET else before + 1


def restart_delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 0, 1, 2, 4, … 60."""
    return 0.0 if failures <= 1 else min(LONGEST_DELAY, 2.0 ** min(failures - 2, 32))
