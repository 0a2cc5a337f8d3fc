"""Anybody may ask as kubelet's hook does; what that can do to a replica is bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from queue_proxy import drain
from queue_proxy.proxy import QueueProxy
from queue_proxy.settings import parse
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, ok, request


@contextlib.asynccontextmanager
async def proxy_in_process() -> AsyncIterator[tuple[QueueProxy, int]]:
    """A queue proxy before a model that stays, and its admin port."""

    async def serve(call: Call) -> bytes:
        return ok(b"done")

    model = Model(serve)
    await model.start()
    addresses = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", f"127.0.0.1:{model.port}")
    notice = ("--notice-seconds", "0.05", "--longest-notice-seconds", "0.1")
    proxy = QueueProxy(parse(["--name", "chat-1", *addresses, *notice]))
    watching = await proxy.start()
    try:
        yield proxy, proxy._sockets[1].getsockname()[1]
    finally:
        await proxy.stop(at_once=True)
        watching.cancel()
        await model.stop()


async def test_who_asks_for_the_drain_and_does_not_end_the_model_is_not_believed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain, "ORDER_SECONDS", 0.02)
    monkeypatch.setattr(drain, "_ENDING_SECONDS", 0.02)
    async with proxy_in_process() as (proxy, admin):
        assert (await request(admin, "/ready?wait=10")).status == 200
        announced = asyncio.Event()
        proxy._drain._announce = announced.set
        for believed in (True, False, False):
            assert (await request(admin, "/drained")).status == 200
            assert announced.is_set() is believed
            async with asyncio.timeout(10):
                while (await request(admin, "/ready")).status != 200:
                    await asyncio.sleep(0.01)
            announced.clear()


async def test_sigterm_is_believed_whatever_was_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "ORDER_SECONDS", 10.0)
    async with proxy_in_process() as (proxy, admin):
        assert (await request(admin, "/ready?wait=10")).status == 200
        proxy._drain._disbelieves_until = proxy._drain._clock() + 1_000.0
        hooked = asyncio.create_task(request(admin, "/drained"))
        ended = asyncio.create_task(proxy.drain())
        assert (await hooked).status == 200
        assert (await request(admin, "/ready")).status == 503
        await ended


async def test_a_model_whose_successor_is_there_before_the_next_look_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "ORDER_SECONDS", 0.02)
    monkeypatch.setattr(drain, "_ENDING_SECONDS", 1_000.0)
    async with proxy_in_process() as (proxy, admin):
        assert (await request(admin, "/ready?wait=10")).status == 200
        assert (await request(admin, "/drained")).status == 200
        for changed in tuple(proxy._readiness._subscribers):
            changed(False)
            changed(True)
        async with asyncio.timeout(10):
            while (await request(admin, "/ready")).status != 200:
                await asyncio.sleep(0.01)
        assert proxy._drain._disbelieves_until == 0.0
