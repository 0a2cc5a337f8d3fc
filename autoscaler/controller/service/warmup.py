"""When a controller that has just started may decide.

The most dangerous moment of a controller is its first second: it sees replicas and no load, and nothing tells that
apart from idleness. So no service is decided before the cluster has shown it, its replicas have been scraped once
(the first scrape brings their history), and activators that are there have said whom they hold. Each wait is bounded,
because one of them may be gone for good; what is then still unknown is Missing, and a Missing reading never scales
down.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Set

from autoscaler.controller.settings import Cadence


class ActivatorsHeard:
    """Whether the activators that were there at the start have been heard.

    One that does not connect within `cadence.activator_connect` is not waited for. One that has connected by then is
    given `cadence.activator_push` for its first push, and then `cadence.activator_rest` for the services that are not
    in it: what there is to tell of many services comes in several pushes.
    """

    def __init__(self, cadence: Cadence, now: float) -> None:
        self._cadence = cadence
        self._connect_until = now + cadence.activator_connect
        self._until: dict[str, float] = {}
        self._silent: set[str] = set()

    def connected(self, activator: str, now: float) -> None:
        """A connection was made."""
        if now <= self._connect_until and activator not in self._until:
            self._until[activator] = now + self._cadence.activator_push
            self._silent.add(activator)

    def pushed(self, activator: str, now: float) -> None:
        """It told of some services."""
        if activator in self._silent:
            self._silent.discard(activator)
            self._until[activator] = min(self._until[activator], now + self._cadence.activator_rest)

    def disconnected(self, activator: str) -> None:
        """Did it go without a word, it may connect again while there is time."""
        if activator in self._silent:
            self._silent.discard(activator)
            del self._until[activator]

    def until(self, told: Collection[str]) -> float:
        """From when on no activator is waited for by a service of which those in `told` told, as it looks now."""
        if not self._until:
            return self._connect_until
        return max((until for activator, until in self._until.items() if activator not in told), default=-math.inf)


class ReplicasHeard:
    """Whether the replicas that a service had when it was first seen have been scraped once."""

    def __init__(self, cadence: Cadence, replicas: Collection[str], now: float) -> None:
        self._awaited = set(replicas)
        self._until = now + cadence.first_scrapes
        self._queued_until = now + cadence.first_scrapes_queued

    def scraped(self, replica: str) -> None:
        """Its first numbers are there."""
        self._awaited.discard(replica)

    def keep(self, replicas: Set[str]) -> None:
        """Those that are gone need not be waited for."""
        self._awaited &= replicas

    def until(self, *, queued: bool) -> float:
        """From when on no replica is waited for, as it looks now. `queued`: one was not asked yet, because so many are
        asked before it; what it will say of its last minutes is worth the wait."""
        if not self._awaited:
            return -math.inf
        return self._queued_until if queued else self._until
