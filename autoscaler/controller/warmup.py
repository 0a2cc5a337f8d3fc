"""When a controller that has just started may decide.

The most dangerous moment of a controller is its first second: it sees replicas and no load, and nothing tells that
apart from idleness. So no service is decided before the cluster has shown it, its replicas have been scraped once
(the first scrape brings their history), and activators that are there have said whom they hold. Each wait is bounded,
because one of them may be gone for good; what is then still unknown is Missing, and a Missing reading never scales
down.
"""

from __future__ import annotations

from autoscaler.controller.settings import Cadence


class ActivatorsHeard:
    """Whether the activators that were there at the start have been heard.

    One that does not connect within `cadence.activator_connect` is not waited for; one that has connected by then is
    given `cadence.activator_push` for its first push.
    """

    def __init__(self, cadence: Cadence, now: float) -> None:
        self._connect_until = now + cadence.activator_connect
        self._push_within = cadence.activator_push
        self._silent: dict[str, float] = {}
        self._heard = False

    def connected(self, activator: str, now: float) -> None:
        """A connection was made."""
        if now <= self._connect_until:
            self._silent[activator] = now + self._push_within

    def pushed(self, activator: str) -> None:
        """It said something."""
        self._heard = True
        self._silent.pop(activator, None)

    def disconnected(self, activator: str) -> None:
        """It went without a word; it may connect again while there is time."""
        self._silent.pop(activator, None)

    def enough(self, now: float) -> bool:
        """True when no activator needs to be waited for (any longer)."""
        if self._silent:
            return all(now >= until for until in self._silent.values())
        return self._heard or now >= self._connect_until


class ReplicasHeard:
    """Whether the replicas that a service had when it was first seen have been scraped once."""

    def __init__(self, cadence: Cadence, replicas: set[str], now: float) -> None:
        self._awaited = set(replicas)
        self._until = now + cadence.first_scrapes

    def scraped(self, replica: str) -> None:
        """Its first numbers are there."""
        self._awaited.discard(replica)

    def keep(self, replicas: set[str]) -> None:
        """Those that are gone need not be waited for."""
        self._awaited &= replicas

    def enough(self, now: float) -> bool:
        """True when no replica needs to be waited for (any longer)."""
        return not self._awaited or now >= self._until
