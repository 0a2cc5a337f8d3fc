"""Scraping over real sockets: history first, every second, and what is no answer is known to be none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from yarl import URL

from autoscaler.cluster.interface import ReplicaPhase
from autoscaler.controller.readings.scrape import Scraper
from autoscaler.controller.settings import Cadence
from queue_proxy.messages import Stats
from tests.integration.controller.controller_links import served
from tests.unit.controller.controller_builders import CHAT, replica, stats

CADENCE = Cadence(scrape=0.1, scrape_timeout=0.08, first_scrape_timeout=0.2)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Told:
    def __init__(self) -> None:
        self.read: list[Stats] = []
        self.failed: list[str] = []
        self.news = asyncio.Event()

    def scraped(self, service: str, name: str, read: Stats) -> None:
        self.read.append(read)
        self.news.set()

    def scrape_failed(self, service: str, name: str, why: str) -> None:
        self.failed.append(why)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def scraping(answer: Answer, phase: ReplicaPhase = ReplicaPhase.READY) -> AsyncIterator[tuple[Scraper, Told]]:
    application = web.Application()
    application.router.add_get("/stats", answer)
    async with served(application) as url:
        told = Told()
        scraper = Scraper(told, CADENCE)
        scraper.follow(CHAT, [replica("a", phase, admin_port=URL(url).port)], 63)
        try:
            yield scraper, told
        finally:
            await scraper.close()


async def test_history_is_asked_for_first_and_only_until_it_came() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        if len(asked) < 3:
            return web.Response(status=503)
        return web.json_response(stats("a", float(len(asked))).to_json())

    async with scraping(answer) as (_, told):
        await told.until(lambda: len(told.read) >= 3)
    assert asked[:5] == ["seconds=63", "seconds=63", "seconds=63", "", ""]
    assert len(told.failed) == 2


async def test_the_connection_is_kept() -> None:
    ports = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.json_response(stats("a", 1.0).to_json())

    async with scraping(answer) as (_, told):
        await told.until(lambda: len(told.read) >= 5)
    assert len(ports) == 1


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 2_000 * 1_024
    await response.prepare(request)
    for _ in range(2_000):
        await response.write(b" " * 1_024)
    return response


async def _elsewhere(request: web.Request) -> web.Response:
    raise web.HTTPFound("/other")


def _says(text: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text)

    return answer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_slow, "did not answer within"),
        (_endless, "answered more than"),
        (_elsewhere, "answered 302"),
        (_says("not JSON"), "not Stats"),
        (_says("[" * 100_000), "not Stats"),
        (_says("{}"), "source must be a text"),
        (_says(json.dumps({**stats("a", 1.0).to_json(), "running": -1})), "running must be a whole number"),
        (_says(json.dumps(stats("b", 1.0).to_json())), "is 'b', not 'a'"),
    ],
)
async def test_what_is_no_answer_is_a_failure_that_says_why(answer: Answer, why: str) -> None:
    async with scraping(answer) as (_, told):
        await told.until(lambda: bool(told.failed))
    assert why in told.failed[0]
    assert told.read == []


@pytest.mark.parametrize("phase", [ReplicaPhase.STARTING, ReplicaPhase.DRAINING])
async def test_a_replica_that_comes_or_goes_may_be_silent(phase: ReplicaPhase) -> None:
    asked = asyncio.Semaphore(0)

    async def answer(request: web.Request) -> web.Response:
        asked.release()
        return web.Response(status=503)

    async with scraping(answer, phase) as (_, told):
        async with asyncio.timeout(60):
            for _ in range(3):
                await asked.acquire()
        assert told.failed == []


async def test_a_replica_that_is_gone_is_not_asked_any_more() -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response(stats("a", 1.0).to_json())

    async with scraping(answer) as (scraper, told):
        await told.until(lambda: bool(told.read))
        scraper.follow(CHAT, [], 63)
        before = len(asked)
        await asyncio.sleep(3 * CADENCE.scrape)  # time in which it would have been asked three times
        assert len(asked) == before


async def test_a_replica_that_comes_back_elsewhere_is_asked_for_its_history_again() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        return web.json_response(stats("a", 1.0).to_json())

    application = web.Application()
    application.router.add_get("/stats", answer)
    async with served(application) as url:
        told = Told()
        scraper = Scraper(told, CADENCE)
        first = replica("a", admin_port=URL(url).port)
        scraper.follow(CHAT, [first], 63)
        await told.until(lambda: len(told.read) >= 2)
        scraper.follow(CHAT, [replace(first, created_at=2_000.0)], 63)
        await told.until(lambda: asked.count("seconds=63") == 2)
        await scraper.close()
