"""What the activator answers itself: refusals, timeouts, comments to who waits, probes. Real processes."""

from __future__ import annotations

import asyncio

import pytest

from activator.messages import EndpointState, HoldBounds, Timeouts
from tests.integration.activator.activator_harness import (
    SERVICE,
    Activator,
    Controller,
    activator_for,
    replicas,
    until_held,
)
from tests.integration.queue_proxy.queue_proxy_harness import Call, ok
from tests.until import until

STARTING = EndpointState.STARTING


async def test_when_no_endpoint_comes_in_time_the_answer_is_503_with_retry_after(
    controller: Controller, activator: Activator
) -> None:
    hold = HoldBounds(requests=2, bytes=2**20, no_endpoint_seconds=1.0, full_seconds=60.0)
    await controller.route(hold=hold)
    await until(lambda: bool(controller.pushes))
    waiting = activator.ask(2)
    await controller.until_stats(waiting=2)
    one_too_many = await activator.get()
    assert one_too_many.status == 503
    assert not any(task.done() for task in waiting)
    replies = await asyncio.gather(*waiting)
    for reply in (*replies, one_too_many):
        assert reply.status == 503
        assert 1 <= int(reply.headers[b"retry-after"]) <= 30
        assert "no replica is ready" in str(reply.json()["error"])
    assert all(reply.seconds > 0.99 for reply in replies)
    stats = await controller.until_stats(refused=3)
    assert (stats.arrived, stats.waiting) == (3, 0)


async def test_when_replicas_are_full_for_too_long_the_answer_is_429_with_retry_after(
    controller: Controller, activator: Activator
) -> None:
    hold = HoldBounds(requests=100, bytes=2**20, no_endpoint_seconds=60.0, full_seconds=0.3)
    async with replicas(1, seconds=2.0) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint(), capacity=1, hold=hold)
        await until(lambda: bool(controller.pushes))
        first, second = activator.ask(2)
        refused = await second if await _finishes_first(second, first) else await first
        assert refused.status == 429
        assert int(refused.headers[b"retry-after"]) >= 1
        assert "every replica is full" in str(refused.json()["error"])
        replies = await asyncio.gather(first, second)
        assert sorted(reply.status for reply in replies) == [200, 429]


async def _finishes_first(one: asyncio.Task[object], other: asyncio.Task[object]) -> bool:
    await asyncio.wait((one, other), return_when=asyncio.FIRST_COMPLETED)
    return one.done()


async def test_timeouts_count_from_forwarding_and_not_from_arrival(
    controller: Controller, activator: Activator
) -> None:
    timeouts = Timeouts(total=1.5, response_start=0.0, idle=0.0)

    async def answer(call: Call) -> bytes:
        await asyncio.sleep(10.0 if call.path == b"/slow" else 1.0)
        return ok()

    async with replicas(1, handle=answer) as (replica,):
        await controller.route(replica.endpoint(STARTING), timeouts=timeouts)
        (waiting,) = activator.ask()
        await controller.until_stats(waiting=1)
        # Longer than the whole timeout; the answer then takes long enough for a deadline to be noticed.
        await asyncio.sleep(1.6)
        replica.ready.set()
        assert (await waiting).status == 200
        slow = await activator.get("/slow")
        assert slow.status == 504
        assert slow.seconds >= 1.5


async def test_a_client_that_asks_for_comments_gets_them_and_then_the_events_of_the_model(
    controller: Controller,
) -> None:
    async def events(call: Call) -> bytes:
        body = b"data: hello\n\n"
        return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    async with (
        replicas(1, handle=events) as (replica,),
        activator_for(controller.path, "--comment-seconds", "0.05") as activator,
    ):
        await controller.route(replica.endpoint(STARTING))
        reader, writer = await asyncio.open_connection("127.0.0.1", activator.port)
        writer.write(b"GET /v1/chat HTTP/1.1\r\nhost: x\r\npilotlight-wait: comments\r\nconnection: close\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"text/event-stream" in head
        await reader.readuntil(b"for a replica to become ready\n\n")
        await reader.readuntil(b"for a replica to become ready\n\n")
        replica.ready.set()
        rest = await reader.read()
        assert b"data: hello\n\n" in rest
        writer.close()


async def test_probes_and_scrapes_neither_wake_nor_count(controller: Controller, activator: Activator) -> None:
    await controller.route()
    await until(lambda: bool(controller.pushes))
    assert (await activator.get("/v1/work", user_agent="kube-probe/1.33")).status == 200
    assert (await activator.get("/v1/work", pilotlight_probe="1")).status == 200
    assert (await activator.get("/v2/health/ready")).json() == {"ready": True}
    assert (await activator.get("/v2/models/m/ready")).json() == {"name": "m", "ready": True}
    assert (await activator.get("/metrics")).status == 200
    pushes = len(controller.pushes)
    await until(lambda: len(controller.pushes) > pushes + 1)
    assert not any(push.urgent for _, push in controller.pushes)
    assert controller.last is not None
    assert (controller.last.arrived, controller.last.waiting) == (0, 0)
    async with replicas(1) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint())
        await until_held(activator, 0)
        assert (await activator.get("/metrics")).body == b"chat-0"
        assert (await activator.get("/healthz")).json()["service"] == SERVICE
        assert replica.model.paths == [b"/metrics"]


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"kind": "routes"}',
        '{"epoch": "x", "version": 2, "routes": [{"service": "default/chat"}]}',
        '{"epoch": "x", "version": NaN, "routes": []}',
        "[" * 100_000,
    ],
)
async def test_a_table_that_cannot_be_read_is_ignored(controller: Controller, activator: Activator, text: str) -> None:
    async with replicas(1) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint())
        assert (await activator.get()).status == 200
        await controller.send(text)
        await activator.said("cannot be read")
        assert (await activator.get()).status == 200
        assert controller.connections == 1
