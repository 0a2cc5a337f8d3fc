"""What of one service was ordered already: orders that a cluster has taken show in its view only a moment later.

Until they do, what was ordered counts and not what is shown; else each evaluation would order the same again.
"""

from __future__ import annotations

# How long an order that was taken may be ahead of the cluster's view of it, before it is placed again.
_ORDER_SHOWS_WITHIN = 2.0
# Excess burst capacity goes up and down with the load, and with it the wish for the activator.
_IN_PATH_AT_LEAST = 10.0


class PlacedReplicas:
    """The number of replicas that was ordered and is not shown yet."""

    def __init__(self) -> None:
        self._ahead: tuple[int, float] | None = None

    def wanted(self, shown: int) -> int:
        """The number last ordered, where the cluster shows that one."""
        return shown if self._ahead is None else self._ahead[0]

    def taken(self, replicas: int, shown: int, now: float) -> None:
        """The cluster took an order."""
        self._ahead = None if shown == replicas else (replicas, now)

    def seen(self, shown: int) -> None:
        """The cluster shows that number now."""
        if self._ahead is not None and self._ahead[0] == shown:
            self._ahead = None

    def settle(self, now: float) -> None:
        """An order that was taken and is not to be seen was undone by somebody: what the cluster shows counts."""
        if self._ahead is not None and now - self._ahead[1] > _ORDER_SHOWS_WITHIN:
            self._ahead = None


class PlacedPath:
    """Whether the activator was put into the path, or out of it. Each way costs writes and moves every client."""

    def __init__(self) -> None:
        self._last: tuple[bool, float] | None = None

    def taken(self, in_path: bool, now: float) -> None:
        """The cluster took it."""
        self._last = (in_path, now)

    def forget(self) -> None:
        """Whatever was ordered, it is not known to hold any more."""
        self._last = None

    def due(self, in_path: bool, now: float) -> bool:
        """Whether that is to be ordered now: it was not before, and is not out again as soon as it was in."""
        if self._last is None:
            return True
        last, since = self._last
        return in_path is not last and not (last and now - since < _IN_PATH_AT_LEAST)
