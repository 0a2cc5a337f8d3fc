"""What the agent makes of a queue proxy's answers, and of silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from autoscaler.cluster.local import readiness_watch
from autoscaler.cluster.local.port_range import listen_on_loopback
from autoscaler.cluster.local.readiness_watch import until_ready, why_not_ready

WHY = "nobody accepts connections on 127.0.0.1:8080"


@asynccontextmanager
async def proxy(answers: Sequence[int | None]) -> AsyncIterator[tuple[aiohttp.ClientSession, str, list[str]]]:
    """A queue proxy's `/ready` that gives `answers` in turn, then the last for ever; None cuts the connection."""
    asked: list[str] = []

    async def ready(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        status = answers[min(len(asked), len(answers)) - 1]
        if status is None:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"error": f"the model is not ready: {WHY}"}, status=status or 500)

    app = web.Application()
    app.router.add_get("/ready", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    with listen_on_loopback() as listener:
        await web.SockSite(runner, listener).start()
        async with aiohttp.ClientSession() as http:
            yield http, f"http://127.0.0.1:{listener.getsockname()[1]}/ready", asked
        await runner.cleanup()


async def test_readiness_is_waited_for_by_held_requests() -> None:
    async with proxy([503, None, 200]) as (http, where, asked):
        told: list[str] = []
        assert await until_ready(http, where, seconds=10, not_yet=told.append)
        assert asked == [f"wait={readiness_watch.HOLD_SECONDS:g}"] * 3
        assert told == [WHY]


async def test_readiness_that_does_not_come_is_given_up() -> None:
    async with proxy([503]) as (http, where, _):
        assert not await until_ready(http, where, seconds=0.1, not_yet=lambda _: None)


async def test_one_lost_answer_does_not_make_a_replica_not_ready() -> None:
    async with proxy([None, 200]) as (http, where, asked):
        assert await why_not_ready(http, where) == ""
        assert len(asked) >= 2


async def test_a_proxy_that_says_no_is_believed_at_once() -> None:
    async with proxy([503, 200]) as (http, where, asked):
        assert await why_not_ready(http, where) == WHY
        assert len(asked) == 1


async def test_a_proxy_that_keeps_silent_counts_as_not_ready() -> None:
    with listen_on_loopback() as closed:
        port = closed.getsockname()[1]
    async with aiohttp.ClientSession() as http, asyncio.timeout(readiness_watch._ANSWER_SECONDS):
        assert await why_not_ready(http, f"http://127.0.0.1:{port}/ready") == "its queue proxy does not answer"
