"""Clients of a service over a time in which something fails: when each request was sent, and what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.kubernetes.requests_sent import PATIENCE, Outcome, ask, lost, new_connections, took


@dataclass(frozen=True, slots=True)
class Sent:
    """One request; `at` is seconds since 1970."""

    at: float
    outcome: Outcome

    @property
    def over(self) -> float:
        """When its answer was there, or it was clear that none would come."""
        return self.at + self.outcome.seconds


class Clients:
    """Requests to one URL, each over a connection of its own."""

    def __init__(self, url: str, patience: float = PATIENCE, connect_for: float = 0.0) -> None:
        """`patience`: seconds after which a client gives up. `connect_for`: see `ask`."""
        self._url = url
        self._patience = patience
        self._connect_for = connect_for
        self.sent: list[Sent] = []
        self.under_way = 0

    async def burst(self, count: int) -> None:
        """So many requests at the same moment; returns when all are over."""
        async with new_connections(self._patience) as session:
            await asyncio.gather(*(self._ask(session) for _ in range(count)))

    @asynccontextmanager
    async def steadily(self, every: float) -> AsyncIterator[None]:
        """One request each `every` seconds, however long they take; at the end the last ones are waited for."""
        async with new_connections(self._patience) as session, asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(session, every, group))
            try:
                yield
            finally:
                sending.cancel()

    async def _send(self, session: aiohttp.ClientSession, every: float, group: asyncio.TaskGroup) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            group.create_task(self._ask(session))
            due += every
            await asyncio.sleep(max(0.0, due - clock()))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        at = time.time()
        self.under_way += 1
        try:
            outcome = await ask(session, self._url, self._connect_for)
        finally:
            self.under_way -= 1
        self.sent.append(Sent(at, outcome))

    @property
    def lost(self) -> dict[str, int]:
        """What went wrong, and how often."""
        return dict(lost([sent.outcome for sent in self.sent]))

    def open_at(self, at: float) -> int:
        """Requests that were sent and not over at that time."""
        return sum(1 for sent in self.sent if sent.at <= at < sent.over)

    def __str__(self) -> str:
        outcomes = [sent.outcome for sent in self.sent]
        return f"{len(outcomes)} requests, lost {self.lost or 'none'}, {took(outcomes)}"
