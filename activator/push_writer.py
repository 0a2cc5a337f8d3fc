"""What of our numbers the controller is told: what has changed since it was last told, and of the rest that it has not.

With thousands of services nearly all are idle in any second, and making, sending and reading their numbers again each
second would cost each activator, and the controller for each of them, a good part of a core.

Pure. One for each connection: what the other side knows, it knows from this connection.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from activator.messages import StatsPush
from queue_proxy.messages import Stats

WHOLE_EVERY = 10
"""Regular pushes from one that tells everything to the next: a message that could not be read is made good by then."""


class PushWriter:
    """Remembers what was told."""

    def __init__(self) -> None:
        """Nothing was told."""
        self._told: dict[str, Stats] = {}
        self._until_whole = 0

    def part(self, services: Mapping[str, Stats], *, urgent: bool) -> StatsPush:
        """Numbers of some services, with their history or without."""
        for name, stats in services.items():
            self._told[name] = replace(stats, seconds=()) if stats.seconds else stats
        return StatsPush(urgent, services)

    def whole(self, services: Mapping[str, Stats], at: float, *, accepts_still: bool) -> StatsPush:
        """The numbers of all services, read at `at` by the clock that is in them."""
        told, self._told = self._told, dict(services)
        self._until_whole -= 1
        if not accepts_still or self._until_whole < 0:
            self._until_whole = WHOLE_EVERY - 1
            return StatsPush(False, services)
        changed = {name: stats for name, stats in services.items() if not _still(told.get(name), stats)}
        return StatsPush(False, changed, at, _gone(told, services))


def _gone(told: Collection[str], services: Mapping[str, Stats]) -> tuple[str, ...]:
    return tuple(name for name in told if name not in services)


def _still(told: Stats | None, stats: Stats) -> bool:
    """Whether nothing has happened since: the same numbers, and nobody there whose time counts."""
    return (
        told is not None
        and told.arrived == stats.arrived
        and told.busy_seconds == stats.busy_seconds
        and told.waiting_seconds == stats.waiting_seconds
        and not (told.running or told.waiting or stats.running or stats.waiting)
        and told.completed == stats.completed
        and told.refused == stats.refused
        and told.failed == stats.failed
        and told.abandoned == stats.abandoned
        and told.service_seconds == stats.service_seconds
        and told.held_bytes == stats.held_bytes
        and told.epoch == stats.epoch
        and told.ready_at == stats.ready_at
        and told.first_request_at == stats.first_request_at
        and told.engine == stats.engine
    )
