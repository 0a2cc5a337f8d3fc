"""What activators tell of services that the controller has not taken in yet.

A controller that takes over thousands of services takes them in one after another, and meanwhile activators tell what
they hold, with the history of the last minutes in their first words of each service. They say that once. So it is kept
until its service is there. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from queue_proxy.messages import Stats


@dataclass(frozen=True, slots=True)
class EarlyPush:
    """One activator's numbers of one service. `at`: when they came. `urgent`: the push said so."""

    activator: str
    stats: Stats
    at: float
    urgent: bool


class EarlyPushes:
    """By service. Of each activator the last push with history, and the newest: counters make good what is between."""

    def __init__(self) -> None:
        """Nothing was told."""
        self._told: dict[str, list[EarlyPush]] = {}

    def keep(self, service: str, push: EarlyPush) -> None:
        """Told of a service that is not there yet."""
        kept, urgent = [], push.urgent
        for before in self._told.get(service, ()):
            if before.activator != push.activator or (before.stats.seconds and not push.stats.seconds):
                kept.append(before)
            else:
                urgent = urgent or before.urgent  # who waits waits on
        self._told[service] = [*kept, replace(push, urgent=urgent)]

    def take(self, service: str) -> list[EarlyPush]:
        """Everything kept of it, oldest first; it is kept no longer."""
        return self._told.pop(service, [])

    def left(self, activator: str) -> None:
        """It has ended, and holds nobody any more."""
        for service, kept in list(self._told.items()):
            self._told[service] = [push for push in kept if push.activator != activator]

    def forget(self) -> None:
        """All services are there. What was told of others is of services that are gone."""
        self._told.clear()
