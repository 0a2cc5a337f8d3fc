"""When the controller is told at once that somebody waits for a wake."""

from __future__ import annotations

from collections.abc import Callable


class WakeCalls:
    """With the first who waits, and each time that there are twice as many, because the controller sizes a wake by what
    waits and a burst is not over with its first request."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._next_at = 1

    def waiting(self, number: int) -> None:
        """So many wait and nothing is ready."""
        if number >= self._next_at:
            self._next_at = 2 * number
            self._call()

    def begin_again(self) -> None:
        """Nobody waits any more, or for something else: the next who does is the first."""
        self._next_at = 1
