"""Whether a service sleeps and nothing has been heard of it, so that deciding on it again would tell nothing new.

Most of thousands of services sleep, and each evaluation of one that does has the same result: `decide.repeats` proves
it, as long as nothing happens. So it is evaluated less often, and at the next period when anything comes: a view, a
replica, an activator that tells other numbers than before. Who waits is urgent and is decided on at once in any case.
What the windows are told late is told by the second, as it would have been.
"""

from __future__ import annotations

from queue_proxy.messages import Stats


class Quiescence:
    """Of one service. Awake until a decision is known to repeat."""

    def __init__(self, seconds: float) -> None:
        """`seconds` from one evaluation to the next of a service that sleeps on."""
        self._seconds = seconds
        self._until = 0.0

    def decided(self, repeats_until: float | None, now: float) -> None:
        """It was decided on, and up to then the decision can only repeat; None: it may be another at the next turn."""
        self._until = 0.0 if repeats_until is None else min(repeats_until, now + self._seconds)

    def disturb(self) -> None:
        """Something has happened."""
        self._until = 0.0

    def hear(self, before: Stats | None, stats: Stats) -> None:
        """An activator told its numbers, and `before` those."""
        if before is None or _counts(before) != _counts(stats):
            self._until = 0.0

    def lasts(self, now: float) -> bool:
        """Nothing need be decided yet."""
        return now < self._until


def _counts(stats: Stats) -> tuple[object, ...]:
    return (
        stats.epoch, stats.arrived, stats.waiting, stats.running, stats.completed, stats.refused, stats.failed,
        stats.abandoned,
    )  # fmt: skip
