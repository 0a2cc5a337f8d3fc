"""Who is still in line when a replica's time is over is told so, and can go elsewhere."""

from __future__ import annotations

import asyncio

from queue_proxy.proxy import QueueProxy
from queue_proxy.settings import parse
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, request
from tests.until import until


async def test_who_waits_in_line_until_the_drain_is_over_is_answered_and_not_cut() -> None:
    async def never(call: Call) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    model = Model(never)
    await model.start()
    addresses = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", f"127.0.0.1:{model.port}")
    bounds = ("--limit", "1", "--drain-seconds", "0.5", "--notice-seconds", "0.05", "--longest-notice-seconds", "0.1")
    proxy = QueueProxy(parse(["--name", "chat-1", *addresses, *bounds]))
    watching = await proxy.start()
    requests, admin = (sock.getsockname()[1] for sock in proxy._sockets)
    try:
        assert (await request(admin, "/ready?wait=10")).status == 200
        running = asyncio.create_task(request(requests))
        await until(lambda: proxy._dispatcher.limiter.running == 1)
        waiting = asyncio.create_task(request(requests))
        await until(lambda: proxy._dispatcher.limiter.waiting == 1)
        await proxy.drain()
        reply = await waiting
        assert (reply.status, reply.headers[b"pilotlight-not-delivered"]) == (503, b"1")
        assert b"retry-after" in reply.headers
        assert proxy._dispatcher.measurement.refused == 1
        await asyncio.gather(running, return_exceptions=True)
    finally:
        await proxy.stop(at_once=True)
        watching.cancel()
        await model.stop()
