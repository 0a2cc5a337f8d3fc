"""Warnings that anybody in the cluster can cause, which must not become a way to fill its logs.

The first few of a minute say what there is to say. The others are counted, and the next line says how many they were.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

_AT_MOST = 10
_SECONDS = 60.0


class LimitedWarnings:
    """About one kind of thing, so that many of one kind hide none of another."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, from wherever it counts them."""
        self._log = log
        self._clock = clock
        self._began = -_SECONDS
        self._said = 0
        self._left_out = 0

    def warn(self, what: str, *about: object) -> None:
        """Log a warning, made like any other, unless a minute has had its share."""
        now = self._clock()
        if now - self._began >= _SECONDS:
            self._began, self._said = now, 0
        if self._said >= _AT_MOST:
            self._left_out += 1
            return
        self._said += 1
        if self._left_out:
            what, about = what + " (%d more before this one were left out)", (*about, self._left_out)
            self._left_out = 0
        self._log.warning(what, *about)
