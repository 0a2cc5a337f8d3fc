"""Reads every replica's queue proxy once a second.

One small task a replica, so that a replica that does not answer delays nobody. A scrape that is lost loses nothing,
because the counters are cumulative; what matters is that a lost one is known to be lost, and that the first good one
brings the history with it: that is how a controller which has just started knows what the last minutes were like.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.controller.readings.replica_connection import NoAnswerError, ReplicaConnection
from autoscaler.controller.settings import Cadence
from queue_proxy.messages import MessageError, Stats, parse_stats

# Ten minutes of rows are some thirty kilobytes. Whoever answers with more is not a queue proxy.
_LARGEST_ANSWER_BYTES = 1024 * 1024
_SCRAPED = (ReplicaPhase.STARTING, ReplicaPhase.READY, ReplicaPhase.DRAINING)
# A starting proxy listens within a fraction of a second, and its first numbers are wanted before it is ready. When its
# model is, it knows to the millisecond: that shall be heard before the cluster, which looks once a second, says so.
_WHILE_STARTING = 0.25


class ScrapeError(Exception):
    """A replica's numbers could not be read: says why."""


class ScrapeListener(Protocol):
    """Who is told."""

    def scraped(self, service: str, replica: str, stats: Stats) -> None:
        """Numbers that read well."""

    def scrape_failed(self, service: str, replica: str, why: str) -> None:
        """No numbers this time."""


@dataclass(frozen=True, slots=True)
class _Target:
    """What identifies a scrape: a replica that comes back at another address is another one."""

    service: str
    replica: str
    created_at: float
    host: str
    admin_port: int

    @property
    def url(self) -> str:
        """Where its numbers are, for a person."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.admin_port}/stats"


class Scraper:
    """Scrapes what it was last told to. Close it to end all its tasks and connections."""

    def __init__(self, listener: ScrapeListener, cadence: Cadence) -> None:
        self._listener = listener
        self._cadence = cadence
        self._tasks: dict[_Target, asyncio.Task[None]] = {}
        self._phases: dict[_Target, ReplicaPhase] = {}

    def follow(self, service: str, replicas: Iterable[Replica], history_seconds: int) -> None:
        """Scrape exactly these replicas of this service from now on, as far as they have an address; of those that
        were not scraped before so much of their past is asked for."""
        wanted = {target: replica for replica in replicas if (target := _target(service, replica)) is not None}
        for target in [t for t in self._tasks if t.service == service and t not in wanted]:
            self._tasks.pop(target).cancel()
            del self._phases[target]
        for target, replica in wanted.items():
            self._phases[target] = replica.phase
            if target not in self._tasks:
                self._tasks[target] = asyncio.create_task(self._scrape_for_ever(target, history_seconds))

    async def close(self) -> None:
        """End all scraping and wait until it has ended."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _scrape_for_ever(self, target: _Target, history_seconds: int) -> None:
        clock = asyncio.get_running_loop().time
        history = history_seconds
        connection = ReplicaConnection(target.host, target.admin_port, _LARGEST_ANSWER_BYTES)
        try:
            while True:
                began = clock()
                answered = await self._scrape_once(target, connection, history)
                history = 0 if answered else history
                starting = self._phases.get(target) is ReplicaPhase.STARTING
                interval = min(_WHILE_STARTING, self._cadence.scrape) if starting else self._cadence.scrape
                await asyncio.sleep(max(0.0, began + interval - clock()))
        finally:
            connection.close()

    async def _scrape_once(self, target: _Target, connection: ReplicaConnection, history: int) -> bool:
        try:
            stats = await self._read(target, connection, history)
        except ScrapeError as error:
            # A starting proxy that does not listen yet is no failure, nor is a drained one that has ended.
            if self._phases.get(target) is ReplicaPhase.READY:
                self._listener.scrape_failed(target.service, target.replica, str(error))
            return False
        self._listener.scraped(target.service, target.replica, stats)
        return True

    async def _read(self, target: _Target, connection: ReplicaConnection, history: int) -> Stats:
        path, bound = "/stats", self._cadence.scrape_timeout
        if history:
            path, bound = f"/stats?seconds={history}", self._cadence.first_scrape_timeout
        try:
            async with asyncio.timeout(bound):
                page = await connection.get(path)
            if page.status != 200:
                raise ScrapeError(f"{target.url} answered {page.status}")
            stats = parse_stats(json.loads(page.body))
        except TimeoutError as error:
            raise ScrapeError(f"{target.url} did not answer within {bound} s") from error
        except (NoAnswerError, OSError) as error:
            raise ScrapeError(f"{target.url}: {error}") from error
        except (MessageError, ValueError, RecursionError) as error:
            raise ScrapeError(f"{target.url} answered what is not Stats: {error}") from error
        if stats.source != target.replica:
            # The replica died and another process was given its port.
            raise ScrapeError(f"{target.url} is {stats.source!r}, not {target.replica!r}")
        return stats


def _target(service: str, replica: Replica) -> _Target | None:
    if replica.phase not in _SCRAPED or replica.host is None or replica.admin_port is None:
        return None
    return _Target(service, replica.name, replica.created_at, replica.host, replica.admin_port)
