"""How an activator ends, and how the next one takes over. Real processes."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from activator.messages import EndpointState
from tests.integration.activator.activator_harness import (
    Activator,
    Controller,
    activator_for,
    bodies,
    listening_socket,
    replicas,
    until_held,
)
from tests.until import until

STARTING = EndpointState.STARTING


async def test_draining_finishes_what_is_in_flight_and_held_then_ends(
    controller: Controller, activator: Activator
) -> None:
    async with replicas(1, seconds=0.2) as (replica,):
        replica.ready.set()
        await controller.route(replica.endpoint(), capacity=1)
        waiting = activator.ask(4)
        await until_held(activator, 3)
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
