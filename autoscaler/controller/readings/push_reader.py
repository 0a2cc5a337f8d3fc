"""Makes whole pushes of those that only tell what is new: see `StatsPush.still_at`. Pure; one for each connection."""

from __future__ import annotations

from collections.abc import Iterator

from activator.messages import StatsPush
from queue_proxy.messages import MessageError, Stats


class PushReader:
    """Remembers what a connection has told of each service."""

    def __init__(self) -> None:
        """Nothing was told."""
        self._told: dict[str, Stats] = {}

    def read(self, push: StatsPush) -> StatsPush:
        """The push with everything in it. Raises MessageError for a time before the one that was told last."""
        for name in push.gone:
            self._told.pop(name, None)
        for name, stats in push.services.items():
            self._told[name] = _later(stats, stats.at) if stats.seconds else stats
        if push.still_at is None:
            return push
        rest = dict(self._still(push.still_at, push))
        self._told.update(rest)
        return StatsPush(push.urgent, {**push.services, **rest})

    def forget(self) -> None:
        """A message could not be read: what it said of whom is unknown, so nobody is as before until told anew."""
        self._told.clear()

    def _still(self, at: float, push: StatsPush) -> Iterator[tuple[str, Stats]]:
        for name, stats in self._told.items():
            if name not in push.services:
                if at < stats.at:
                    raise MessageError(f"still_at must not be before {stats.at}, which was told of {name}; not {at}")
                yield name, _later(stats, at)


def _later(stats: Stats, at: float) -> Stats:
    return Stats(
        stats.source, stats.epoch, at, stats.busy_seconds, stats.waiting_seconds, stats.arrived, stats.completed,
        stats.refused, stats.failed, stats.abandoned, stats.service_seconds, stats.running, stats.waiting,
        stats.held_bytes, stats.ready_at, stats.first_request_at, stats.engine,
    )  # fmt: skip
