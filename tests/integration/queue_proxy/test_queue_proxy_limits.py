"""Limit, line and bounds, seen from outside: a real proxy before a real server."""

from __future__ import annotations

import asyncio

import pytest

from queue_proxy.scrapes import SCRAPES_AT_ONCE
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Reply,
    ok,
    proxy_before,
    request,
    request_bytes,
    serving,
)
from tests.until import until


class Gate:
    """A handler that answers a request only when it is let go, the first to come first."""

    def __init__(self) -> None:
        self._turns: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def __call__(self, call: Call) -> bytes:
        turn = asyncio.get_running_loop().create_future()
        self._turns.put_nowait(turn)
        await turn
        return ok(call.path)

    async def let_go(self) -> None:
        turn = await self._turns.get()
        if turn.cancelled():
            await self.let_go()
        else:
            turn.set_result(None)


async def test_the_limit_holds_and_the_line_is_first_come_first_served() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "2") as (model, proxy):
        tasks = []
        for number in range(8):
            tasks.append(asyncio.create_task(request(proxy.port, f"/{number}")))
            await proxy.until_stats(arrived=number + 1)
        await proxy.until_stats(running=2, waiting=6)
        for _ in range(8):
            await gate.let_go()
        assert [(await task).status for task in tasks] == [200] * 8
        assert model.most_running == 2
        assert model.paths == [f"/{number}".encode() for number in range(8)]


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "1", "--queue-requests", "1") as (model, proxy):
        running = asyncio.create_task(request(proxy.port))
        await model.arrived(1)
        waiting = asyncio.create_task(request(proxy.port))
        await proxy.until_stats(waiting=1)
        refused = await request(proxy.port)
        assert refused.status == 503
        assert int(refused.headers[b"retry-after"]) >= 1
        assert refused.json() == {"error": "the queue is full: 1 requests wait"}
        await gate.let_go()
        await gate.let_go()
        assert [(await running).status, (await waiting).status] == [200, 200]
        await proxy.until_stats(arrived=3, completed=2, refused=1, running=0, waiting=0)


async def test_depth_is_ten_times_the_limit_unless_told_otherwise() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "2") as (_model, proxy):
        tasks = [asyncio.create_task(request(proxy.port)) for _ in range(23)]
        await proxy.until_stats(running=2, waiting=20, refused=1)
        for _ in range(22):
            await gate.let_go()
        assert sorted([(await task).status for task in tasks]) == [200] * 22 + [503]


async def test_nobody_waits_longer_than_the_age_bound() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "1", "--queue-seconds", "0.3") as (model, proxy):
        running = asyncio.create_task(request(proxy.port))
        await model.arrived(1)
        expired = await request(proxy.port)
        assert expired.status == 429
        assert expired.seconds >= 0.3
        assert b"retry-after" in expired.headers
        await gate.let_go()
        assert (await running).status == 200
        assert len(model.paths) == 1


async def test_requests_that_come_before_the_model_is_ready_wait_for_it() -> None:
    gate = Gate()
    async with serving(gate) as (model, proxy):
        port = model.port
        await model.stop()
        async with proxy_before(port, "--limit", "1") as early:
            tasks = []
            for number in range(3):
                tasks.append(asyncio.create_task(request(early.port, f"/early/{number}")))
                await early.until_stats(waiting=number + 1, running=0)
            await model.start()
            for _ in range(3):
                await gate.let_go()
            assert [(await task).body for task in tasks] == [b"/early/0", b"/early/1", b"/early/2"]
        assert proxy.process.returncode is None


async def test_a_client_that_leaves_while_it_runs_frees_its_slot() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "1") as (model, proxy):
        _reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request_bytes("/leaves"))
        await model.arrived(1)
        waiting = asyncio.create_task(request(proxy.port, "/stays"))
        await proxy.until_stats(waiting=1)
        writer.transport.abort()
        await model.arrived(2)
        await gate.let_go()
        await until(lambda: model.running <= 1)
        if not waiting.done():
            await gate.let_go()
        assert (await waiting).body == b"/stays"
        await proxy.until_stats(abandoned=1, completed=1, running=0)


async def test_a_client_that_leaves_the_line_never_reaches_the_model() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "1") as (model, proxy):
        running = asyncio.create_task(request(proxy.port, "/runs"))
        await model.arrived(1)
        _reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request_bytes("/leaves"))
        await proxy.until_stats(waiting=1)
        writer.transport.abort()
        await proxy.until_stats(waiting=0, abandoned=1)
        await gate.let_go()
        assert (await running).status == 200
        assert (await one_more(proxy.port, gate)).status == 200
        assert model.paths == [b"/runs", b"/after"]


async def one_more(port: int, gate: Gate) -> Reply:
    task = asyncio.create_task(request(port, "/after"))
    await gate.let_go()
    return await task


@pytest.mark.parametrize("limit", ["0", "1"])
async def test_scrapes_and_probes_are_never_counted_and_need_no_slot(limit: str) -> None:
    gate = Gate()

    async def handle(call: Call) -> bytes:
        return ok(b"metrics") if call.path == b"/metrics" else await gate(call)

    async with serving(handle, "--limit", limit) as (model, proxy):
        running = asyncio.create_task(request(proxy.port, "/work"))
        await model.arrived(1)
        assert (await request(proxy.port, "/metrics")).body == b"metrics"
        assert (await request(proxy.port, "/x", headers={"user-agent": "kube-probe/1.30"})).body == b"ready\n"
        assert (await request(proxy.port, "/x", headers={"Pilotlight-Probe": "activator"})).body == b"ready\n"
        await gate.let_go()
        await running
        await proxy.until_stats(arrived=1, completed=1, running=0, waiting=0)
        assert model.paths == [b"/work", b"/metrics"]


async def test_only_a_few_scrapes_are_at_the_model_at_once() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "1") as (model, proxy):
        scrapes = [asyncio.create_task(request(proxy.port, "/metrics")) for _ in range(SCRAPES_AT_ONCE)]
        await model.arrived(SCRAPES_AT_ONCE)
        refused = await request(proxy.port, "/metrics")
        assert (refused.status, refused.headers[b"retry-after"]) == (503, b"1")
        for _ in scrapes:
            await gate.let_go()
        assert {(await scrape).status for scrape in scrapes} == {200}
        after = asyncio.create_task(request(proxy.port, "/metrics"))
        await gate.let_go()
        assert (await after).status == 200
        assert model.most_running == SCRAPES_AT_ONCE


async def test_areas_in_stats_are_time_spent_waiting_and_running() -> None:
    gate = Gate()
    async with serving(gate, "--limit", "1") as (model, proxy):
        before = await proxy.stats()
        first = asyncio.create_task(request(proxy.port))
        await model.arrived(1)
        second = asyncio.create_task(request(proxy.port))
        await proxy.until_stats(waiting=1)
        await asyncio.sleep(0.3)
        await gate.let_go()
        one = await first
        await asyncio.sleep(0.2)
        await gate.let_go()
        two = await second
        after = await proxy.stats(seconds=60)
        assert after["epoch"] == before["epoch"]
        waited, ran = float(str(after["waiting_seconds"])), float(str(after["busy_seconds"]))
        assert 0.3 <= waited <= one.seconds + 0.05
        assert ran >= 0.5
        # Whoever is inside is in one of the two, and never in both.
        assert waited + ran == pytest.approx(one.seconds + two.seconds, abs=0.05)
        assert float(str(after["service_seconds"])) == pytest.approx(ran, abs=0.02)
