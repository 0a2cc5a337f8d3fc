"""The activator as a process: what it promises to clients, with a real link and real connections."""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activator.messages import Endpoint, EndpointState, HoldBounds, Timeouts
from tests.integration.activator.activator_harness import (
    HOLD,
    SERVICE,
    Activator,
    Controller,
    activator_for,
    bodies,
    listening_socket,
    replicas,
)
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, free_port, ok, proxy_before
from tests.until import until

STARTING = EndpointState.STARTING


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[Controller]:
    controller = Controller(tmp_path / "control.sock")
    await controller.start()
    yield controller
    await controller.stop()


@pytest.fixture
async def activator(controller: Controller) -> AsyncIterator[Activator]:
    async with activator_for(controller.path) as activator:
        yield activator


async def test_the_first_request_wakes_the_service_at_once_and_waits(
    controller: Controller, activator: Activator
) -> None:
    await controller.route()
    await until(lambda: bool(controller.pushes))
    (waiting,) = activator.ask()
    await until(lambda: any(push.urgent for _, push in controller.pushes))
    push = next(push for _, push in controller.pushes if push.urgent)
    stats = push.services[SERVICE]
    assert (stats.source, stats.waiting, stats.running, stats.arrived) == ("activator/one", 1, 0, 1)
    assert not waiting.done()
    waiting.cancel()
    gone = await controller.until_stats(waiting=0, abandoned=1)
    assert gone.arrived == 1


async def test_a_held_request_leaves_the_moment_its_replica_says_it_is_ready(
    controller: Controller, activator: Activator
) -> None:
    overheads = []
    for _ in range(10):
        async with replicas(1) as (replica,):
            await controller.route()
            waiting = activator.ask(3)
            await controller.until_stats(waiting=3)
            await controller.route(replica.endpoint(STARTING))
            await until(lambda: replica.questions == 1)
            replica.ready.set()
            replies = await asyncio.gather(*waiting)
            assert [reply.status for reply in replies] == [200] * 3
            overheads.append(replica.first_request_at - replica.ready_answered_at)
    print(f"\nfrom the answer of /ready to the first held request at the replica: {_milliseconds(overheads)}")
    # A look at it now and then, instead of an answer that is held, would take longer than that on average.
    assert statistics.median(overheads) < 0.5
    assert (await activator.metrics())[_named("wake_overhead_seconds_count")] == 10


async def test_two_thousand_held_requests_leave_as_three_replicas_have_room(
    controller: Controller, activator: Activator
) -> None:
    async with replicas(3, seconds=0.002) as three:
        await controller.route(*(replica.endpoint(STARTING) for replica in three), capacity=4)
        waiting = activator.ask(2_000)
        await controller.until_stats(waiting=2_000)
        began = time.monotonic()
        for replica in three:
            replica.ready.set()
        replies = await asyncio.gather(*waiting)
        seconds = time.monotonic() - began
        assert Counter(reply.status for reply in replies) == {200: 2_000}
        assert all(1 <= replica.model.most_running <= 4 for replica in three)
        assert sum(len(replica.model.paths) for replica in three) == 2_000
        assert min(len(replica.model.paths) for replica in three) > 400
        print(f"\n2,000 held requests over 3 replicas of capacity 4: {seconds:.2f} s")
        stats = await controller.until_stats(waiting=0, running=0)
        assert (stats.arrived, stats.completed) == (2_000, 2_000)


async def test_held_requests_leave_in_order_of_arrival(controller: Controller, activator: Activator) -> None:
    async with replicas(1, seconds=0.001) as (replica,):
        await controller.route(replica.endpoint(STARTING), capacity=1)
        waiting = []
        for number in range(20):
            waiting += activator.ask(path=f"/v1/jobs/{number}")
            await controller_or_metrics_shows(activator, number + 1)
        replica.ready.set()
        await asyncio.gather(*waiting)
        assert replica.model.paths == [f"/v1/jobs/{number}".encode() for number in range(20)]


async def controller_or_metrics_shows(activator: Activator, held: int) -> None:
    async with asyncio.timeout(60):
        while (await activator.metrics())[_named("held")] != held:
            await asyncio.sleep(0.001)


async def test_a_refused_connection_is_tried_elsewhere(controller: Controller, activator: Activator) -> None:
    async with replicas(1) as (replica,):
        replica.ready.set()
        dead = Endpoint("chat-dead", "127.0.0.1", free_port(), free_port(), EndpointState.READY)
        await controller.route(dead, replica.endpoint())
        await until(lambda: bool(controller.pushes))
        replies = [await activator.get() for _ in range(20)]
        assert [reply.status for reply in replies] == [200] * 20
        assert (await activator.metrics())[_named("retries_total")] >= 1
        stats = await controller.until_stats(completed=20)
        assert (stats.arrived, stats.failed) == (20, 0)


async def test_a_request_whose_only_endpoint_refuses_waits_for_it_to_come_back(
    controller: Controller, activator: Activator
) -> None:
    async with replicas(1) as (replica,):
        replica.ready.set()
        endpoint = replica.endpoint()
        await replica.model.stop()
        await controller.route(endpoint)
        waiting = activator.ask(5)
        await activator.said("chat-0: 127.0.0.1")
        await controller.until_stats(arrived=5, completed=0)
        await replica.model.start()
        assert bodies(await asyncio.gather(*waiting)) == ["chat-0"] * 5


async def test_a_replica_killed_in_the_middle_of_a_request_gives_one_502_and_no_repetition(
    controller: Controller, activator: Activator
) -> None:
    calls: list[bytes] = []

    async def hang(call: Call) -> bytes:
        calls.append(call.path)
        await asyncio.sleep(60)
        return ok()

    async with replicas(1) as (healthy,):
        healthy.ready.set()
        model = Model(hang)
        await model.start()
        try:
            async with proxy_before(model.port) as proxy:
                await proxy.until_ready()
                doomed = Endpoint("chat-doomed", "127.0.0.1", proxy.port, proxy.admin, EndpointState.READY)
                await controller.route(doomed)
                (waiting,) = activator.ask(path="/v1/only-once")
                await until(lambda: len(calls) == 1)
                await controller.route(doomed, healthy.endpoint())
                proxy.process.kill()
                reply = await waiting
                assert reply.status == 502
                assert "error" in reply.json()
                await proxy.process.wait()  # its other sockets are closed a moment after the first
                assert [reply.status for reply in [await activator.get() for _ in range(5)]] == [200] * 5
            assert calls == [b"/v1/only-once"]
            stats = await controller.until_stats(failed=1, completed=5)
            assert stats.arrived == 6
        finally:
            await model.stop()


async def test_with_a_real_queue_proxy_the_request_leaves_when_the_model_listens(
    controller: Controller, activator: Activator
) -> None:
    async def answer(call: Call) -> bytes:
        return ok(b"from the model")

    model = Model(answer, port=free_port())
    async with proxy_before(model.port) as proxy:
        starting = Endpoint("chat-1", "127.0.0.1", proxy.port, proxy.admin, STARTING)
        await controller.route(starting, capacity=2)
        waiting = activator.ask(20)
        await controller.until_stats(waiting=20)
        await model.start()
        try:
            assert bodies(await asyncio.gather(*waiting)) == ["from the model"] * 20
        finally:
            await model.stop()


async def test_without_a_controller_requests_flow_and_held_ones_reach_who_becomes_ready(
    controller: Controller, activator: Activator
) -> None:
    async with replicas(2) as (first, second):
        first.ready.set()
        await controller.route(first.endpoint(), second.endpoint(STARTING), capacity=1)
        assert (await activator.get()).status == 200
        await controller.stop()
        await activator.said("serving from the last table")
        assert (await activator.get()).status == 200
        await first.stop()
        waiting = activator.ask(4)
        await activator.said("chat-0: 127.0.0.1")
        second.ready.set()
        assert bodies(await asyncio.gather(*waiting)) == ["chat-1"] * 4
        before = len(controller.pushes)
        await controller.start()
        await until(lambda: len(controller.pushes) > before)
        _, push = controller.pushes[before]
        stats = push.services[SERVICE]
        assert (stats.arrived, stats.completed) == (6, 6)
        assert sum(second.arrived for second in stats.seconds) <= 6


async def test_the_first_push_of_a_connection_brings_history(controller: Controller, activator: Activator) -> None:
    async with replicas(1) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint())
        await asyncio.gather(*activator.ask(7))
        await controller.until_stats(completed=7)
        pushes = len(controller.pushes)
        await until(lambda: len(controller.pushes) > pushes + 1)
        await controller.stop()
        before = len(controller.pushes)
        await controller.start()
        await until(lambda: len(controller.pushes) > before + 1)
        first, later = (push.services[SERVICE] for _, push in controller.pushes[before : before + 2])
        assert sum(second.arrived for second in first.seconds) == 7
        assert later.seconds == ()


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
        await controller_or_metrics_shows(activator, 0)
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


async def test_draining_finishes_what_is_in_flight_and_held_then_ends(
    controller: Controller, activator: Activator
) -> None:
    async with replicas(1, seconds=0.2) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint(), capacity=1)
        waiting = activator.ask(4)
        await controller_or_metrics_shows(activator, 3)
        activator.terminate()
        assert bodies(await asyncio.gather(*waiting)) == ["chat-0"] * 4
        async with asyncio.timeout(60):
            assert await activator.process.wait() == 0


async def test_held_requests_that_outlive_the_drain_are_refused_honestly(controller: Controller) -> None:
    async with activator_for(controller.path, "--drain-seconds", "0.3") as activator:
        await controller.route()
        waiting = activator.ask(3)
        await controller.until_stats(waiting=3)
        activator.terminate()
        replies = await asyncio.gather(*waiting)
        assert [reply.status for reply in replies] == [503] * 3
        assert all(b"retry-after" in reply.headers for reply in replies)
        async with asyncio.timeout(60):
            assert await activator.process.wait() == 0


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGKILL])
async def test_who_connects_while_the_activator_restarts_is_served_by_the_next_one(
    controller: Controller, order: signal.Signals
) -> None:
    async with replicas(1) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint())
        with listening_socket() as listening:
            async with activator_for(controller.path, listening=listening) as first:
                assert (await first.get()).status == 200
                first.process.send_signal(order)
                await first.process.wait()
                waiting = first.ask(10)
                await asyncio.sleep(0.05)
                async with activator_for(controller.path, listening=listening):
                    assert bodies(await asyncio.gather(*waiting)) == ["chat-0"] * 10


async def test_a_service_whose_socket_was_handed_over_waits_for_a_table_that_lists_it(
    controller: Controller, activator: Activator
) -> None:
    await until(lambda: bool(controller.sockets))
    await controller.send(json.dumps({"epoch": "e", "version": 1, "routes": []}))
    (waiting,) = activator.ask()
    await until(lambda: any(push.urgent for _, push in controller.pushes))
    async with replicas(1) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint())
        assert (await waiting).status == 200


async def test_a_second_order_to_end_is_followed_at_once(controller: Controller, activator: Activator) -> None:
    await controller.route()
    waiting = activator.ask(1)
    await controller.until_stats(waiting=1)
    activator.terminate()
    await asyncio.sleep(0.1)
    assert activator.process.returncode is None
    activator.terminate()
    async with asyncio.timeout(60):
        assert await activator.process.wait() == 143
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_port_that_the_table_names_is_bound_and_served(controller: Controller, activator: Activator) -> None:
    port = free_port()
    async with replicas(1) as (replica,):
        replica.ready.set()
        table = json.loads(json.dumps({"epoch": "e", "version": 1}))
        route = {
            "service": "default/other",
            "port": port,
            "endpoints": [
                {
                    "name": "chat-0",
                    "host": "127.0.0.1",
                    "port": replica.model.port,
                    "admin_port": replica.endpoint().admin_port,
                    "state": "ready",
                }
            ],
            "endpoint_capacity": 0,
            "hold": {
                "requests": HOLD.requests,
                "bytes": HOLD.bytes,
                "no_endpoint_seconds": 60,
                "full_seconds": 60,
            },
            "timeouts": {"total": 0, "response_start": 0, "idle": 0},
            "expected_wake_seconds": None,
        }
        await until(lambda: bool(controller.sockets))
        await controller.send(json.dumps(table | {"routes": [route]}))
        await activator.said(f"listening on 127.0.0.1:{port}")
        other = Activator(activator.process, port, activator.admin, activator.lines)
        assert (await other.get()).body == b"chat-0"
        await controller.send(json.dumps(table | {"version": 2, "routes": []}))
        await activator.said("default/other is no longer in the table")
        with pytest.raises(ConnectionError):
            await other.get()


def _named(metric: str) -> str:
    return f'pilotlight_activator_{metric}{{service="{SERVICE}"}}'


def _milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"p50 {1000 * ordered[len(ordered) // 2]:.2f} ms, largest of {len(ordered)} {1000 * ordered[-1]:.2f} ms"
