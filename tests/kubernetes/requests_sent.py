"""Requests that a test sends, and what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from tests.kubernetes.managed_service import QUESTION

PATIENCE = 90.0
_BEFORE_NEXT_CONNECT = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: HTTP's status and the seconds until its answer was there; or status 0, and what went wrong."""

    status: int
    seconds: float
    error: str = ""


async def ask(session: aiohttp.ClientSession, url: str, connect_for: float = 0.0) -> Outcome:
    """Send one request; an answer counts only when all of it has come.

    Where no connection can be made, nothing was sent, and it is tried again for so many seconds, as clients do.
    """
    began = time.monotonic()
    while True:
        try:
            async with session.post(url, json=QUESTION) as answer:
                body = await answer.text()
                return Outcome(answer.status, time.monotonic() - began, "" if answer.status == 200 else body[:200])
        except aiohttp.ClientConnectorError as error:
            if time.monotonic() - began >= connect_for:
                return Outcome(0, time.monotonic() - began, f"{type(error).__name__}: {error}")
            await asyncio.sleep(_BEFORE_NEXT_CONNECT)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Outcome(0, time.monotonic() - began, f"{type(error).__name__}: {error}")


def new_connections(patience: float = PATIENCE) -> aiohttp.ClientSession:
    """A client that makes a connection for each request."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=patience))


async def burst(url: str, requests: int) -> list[Outcome]:
    """So many requests at once, each on a connection of its own."""
    async with new_connections() as session:
        return await asyncio.gather(*(ask(session, url) for _ in range(requests)))


async def steady(url: str, every: float, until: asyncio.Event, session: aiohttp.ClientSession) -> list[Outcome]:
    """A request every so many seconds until told to end; each is waited for. See `ask`."""
    tasks: list[asyncio.Task[Outcome]] = []
    due = time.monotonic()
    while not until.is_set():
        tasks.append(asyncio.create_task(ask(session, url)))
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return await asyncio.gather(*tasks)


def lost(outcomes: Sequence[Outcome]) -> Counter[str]:
    """What went wrong, and how often."""
    return Counter(f"{one.status} {one.error}" for one in outcomes if one.status != 200)


def took(outcomes: Sequence[Outcome]) -> str:
    """How long answers took: median, 95th percentile and the last."""
    times = sorted(one.seconds for one in outcomes if one.status == 200)
    if not times:
        return "no answers"
    return f"p50 {times[len(times) // 2]:.2f} s, p95 {times[int(len(times) * 0.95)]:.2f} s, last {times[-1]:.2f} s"
