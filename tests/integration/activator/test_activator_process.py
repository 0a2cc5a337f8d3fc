"""The activator as a process: who is held leaves when and where there is room. A real link and real connections."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter

import pytest

from activator.messages import Endpoint, EndpointState
from tests.integration.activator.activator_harness import (
    HOLD,
    SERVICE,
    Activator,
    Controller,
    bodies,
    named,
    replicas,
    until_held,
)
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, free_port, ok, proxy_before
from tests.until import until

STARTING = EndpointState.STARTING


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
    assert (await activator.metrics())[named("wake_overhead_seconds_count")] == 10


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
            await until_held(activator, number + 1)
        replica.ready.set()
        await asyncio.gather(*waiting)
        assert replica.model.paths == [f"/v1/jobs/{number}".encode() for number in range(20)]


async def test_a_refused_connection_is_tried_elsewhere(controller: Controller, activator: Activator) -> None:
    async with replicas(1) as (replica,):
        replica.ready.set()
        dead = Endpoint("chat-dead", "127.0.0.1", free_port(), free_port(), EndpointState.READY)
        await controller.route(dead, replica.endpoint())
        await until(lambda: bool(controller.pushes))
        replies = [await activator.get() for _ in range(20)]
        assert [reply.status for reply in replies] == [200] * 20
        assert (await activator.metrics())[named("retries_total")] >= 1
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


def _milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"p50 {1000 * ordered[len(ordered) // 2]:.2f} ms, largest of {len(ordered)} {1000 * ordered[-1]:.2f} ms"
