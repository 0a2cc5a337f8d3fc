"""Reads every replica's queue proxy once a second.

One small task a replica, so that a replica that does not answer delays nobody. A scrape that is lost loses nothing,
because the counters are cumulative; what matters is that a lost one is known to be lost, and that the first good one
brings the history with it: that is how a controller which has just started knows what the last minutes were like.

History is asked of few replicas at a time. The answers of thousands at once would keep the event loop for seconds, and
time most of them out; and whoever is asked for the first time in turn is asked in turn from then on, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.controller.pauses import FewAtOnce
from autoscaler.controller.readings.replica_connection import NoAnswerError, ReplicaConnection
from autoscaler.controller.settings import Cadence
from queue_proxy.messages import MessageError, Stats, parse_stats

# Ten minutes of rows are some thirty kilobytes. Whoever answers with more is not a queue proxy.
_LARGEST_ANSWER_BYTES = 1024 * 1024
_SCRAPED = (ReplicaPhase.STARTING, ReplicaPhase.READY, ReplicaPhase.DRAINING)
# Replicas that are due at nearly the same moment are asked together: one alone, of thousands, finds a processor that
# slept, and its caches cold. A second is a whole number of these.
_TOGETHER = 0.05
# A starting proxy listens within a fraction of a second, and its first numbers are wanted before it is ready. When its
# model is, it knows to the millisecond: that shall be heard before the cluster, which looks once a second, says so.
_WHILE_STARTING = 0.25
_ASKED_FOR_HISTORY_AT_ONCE = 32
# In one turn of the event loop. Each is read in some milliseconds, and answers like to come together.
HISTORIES_READ_AT_ONCE = 8
# Who is silent for so long may answer still, but lets the next be asked: replicas of a machine that is gone must not
# hold up all others.
_LONGEST_TURN = 0.25


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


@dataclass(eq=False, slots=True)
class _Scrape:
    """One replica that is scraped. `tried`: its history was asked for once, whatever came of it."""

    target: _Target
    phase: ReplicaPhase
    tried: bool = False
    task: asyncio.Task[None] = field(init=False)


class Scraper:
    """Scrapes what it was last told to. Close it to end all its tasks and connections."""

    def __init__(self, listener: ScrapeListener, cadence: Cadence) -> None:
        self._listener = listener
        self._cadence = cadence
        self._services: dict[str, dict[_Target, _Scrape]] = {}
        self._turns = asyncio.Semaphore(_ASKED_FOR_HISTORY_AT_ONCE)
        self._reading = FewAtOnce(HISTORIES_READ_AT_ONCE)

    def follow(self, service: str, replicas: Iterable[Replica], history_seconds: int) -> None:
        """Scrape exactly these replicas of this service from now on, as far as they have an address; of those that
        were not scraped before so much of their past is asked for."""
        wanted = {target: r.phase for r in replicas if (target := _target(service, r)) is not None}
        before = self._services.pop(service, {})
        for target in before.keys() - wanted.keys():
            before[target].task.cancel()
        if wanted:
            self._services[service] = {
                target: self._going_on(before.get(target), target, phase, history_seconds)
                for target, phase in wanted.items()
            }

    def untried(self, service: str) -> bool:
        """Whether a ready replica of it was not asked yet, because others are before it, or has not had its time."""
        scrapes = self._services.get(service, {}).values()
        return any(not scrape.tried and scrape.phase is ReplicaPhase.READY for scrape in scrapes)

    async def close(self) -> None:
        """End all scraping and wait until it has ended."""
        tasks = [scrape.task for scrapes in self._services.values() for scrape in scrapes.values()]
        self._services.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _going_on(self, before: _Scrape | None, target: _Target, phase: ReplicaPhase, history: int) -> _Scrape:
        if before is not None:
            before.phase = phase
            return before
        scrape = _Scrape(target, phase)
        scrape.task = asyncio.create_task(self._scrape_for_ever(scrape, history))
        return scrape

    async def _scrape_for_ever(self, scrape: _Scrape, history: int) -> None:
        clock = asyncio.get_running_loop().time
        target = scrape.target
        connection = ReplicaConnection(target.host, target.admin_port, _LARGEST_ANSWER_BYTES)
        answered = False
        try:
            while True:
                if answered:
                    began = clock()
                    await self._scrape_once(scrape, connection, 0)
                else:
                    async with self._turn():
                        began = clock()
                        answered = await self._scrape_once(scrape, connection, history)
                    scrape.tried = True
                starting = scrape.phase is ReplicaPhase.STARTING
                interval = min(_WHILE_STARTING, self._cadence.scrape) if starting else self._cadence.scrape
                await asyncio.sleep(max(0.0, due_after(began, interval) - clock()))
        finally:
            connection.close()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """To ask for history. It ends with the answer, or before it."""
        await self._turns.acquire()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._turns.release()

        timer = asyncio.get_running_loop().call_later(_LONGEST_TURN, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()

    async def _scrape_once(self, scrape: _Scrape, connection: ReplicaConnection, history: int) -> bool:
        target = scrape.target
        try:
            stats = await self._read(target, connection, history)
        except ScrapeError as error:
            # A starting proxy that does not listen yet is no failure, nor is a drained one that has ended.
            if scrape.phase is ReplicaPhase.READY:
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
            if history:
                await self._reading.my_turn()
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


def due_after(began: float, interval: float) -> float:
    """When a replica is asked again that was asked at `began`: after the interval, to the nearest moment that many
    have in common."""
    if interval < 2 * _TOGETHER:
        return began + interval
    return _TOGETHER * round((began + interval) / _TOGETHER)


def _target(service: str, replica: Replica) -> _Target | None:
    if replica.phase not in _SCRAPED or replica.host is None or replica.admin_port is None:
        return None
    return _Target(service, replica.name, replica.created_at, replica.host, replica.admin_port)
