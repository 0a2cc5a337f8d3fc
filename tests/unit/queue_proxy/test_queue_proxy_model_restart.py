"""A model that ends and is started again: who came directly waits for it, who came by an activator is sent back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from queue_proxy.shared_slots import ActivatorConnection
from queue_proxy.slot_messages import SLOT_HEADER
from queue_proxy.tries import RESTART_SECONDS
from tests.unit.queue_proxy.test_queue_proxy_dispatcher_laws import WHOLE, Bench, run

NOT_READY = b"HTTP/1.1 503 "


def with_activators(clock: Callable[[], float]) -> Bench:
    """A replica that several activators share."""
    bench = Bench(2, 5, None, clock)
    bench.dispatcher.slots.shared = True
    return bench


async def model_ends(bench: Bench) -> None:
    """Nobody listens any more, and that is known."""
    await bench.happen("not_ready", 0)
    while bench.upstream.attempts:
        bench.upstream.refuse_next()


def test_a_request_that_came_directly_waits_for_a_model_that_restarts() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = with_activators(clock)
        await bench.happen("ready", 0)
        await bench.happen("request", 0)
        await model_ends(bench)
        await bench.happen("moment", 0)
        assert bench.clients[0].written == b""
        assert bench.measurement.running == 1, "it is work in flight"
        await bench.happen("ready", 0)
        bench.upstream.connect_next()
        await bench.happen("blink", 0)
        bench.busy()[0].receive(WHOLE)
        await bench.happen("blink", 0)
        assert bench.clients[0].written.startswith(b"HTTP/1.1 200 ")
        await bench.end()

    run(scenario)


def test_it_is_refused_when_the_model_stays_away() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = with_activators(clock)
        for event in ("ready", "request"):
            await bench.happen(event, 0)
        await model_ends(bench)
        for _ in range(int(RESTART_SECONDS)):
            assert bench.clients[0].written == b""
            await bench.happen("moment", 0)
        await bench.happen("minute", 0)
        assert bench.clients[0].written.startswith(NOT_READY)
        await bench.end()

    run(scenario)


def test_a_request_by_an_activator_is_sent_back_at_once() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = with_activators(clock)
        await bench.happen("ready", 0)
        bench.begin(headers=SLOT_HEADER + b": void\r\n")
        await model_ends(bench)
        assert bench.clients[0].written.startswith(NOT_READY)
        assert b"pilotlight-not-delivered" in bench.clients[0].written
        await bench.end()

    run(scenario)


def test_a_client_that_leaves_meanwhile_gives_its_slot_back() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = with_activators(clock)
        for event in ("ready", "request"):
            await bench.happen(event, 0)
        await model_ends(bench)
        await bench.happen("client_leaves", 0)
        bench.check()
        assert bench.measurement.running == 0
        await bench.happen("ready", 0)
        assert not bench.upstream.attempts, "nothing is sent for somebody who has left"
        await bench.end()

    run(scenario)


def test_nobody_waits_for_a_model_that_ends_for_good() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = with_activators(clock)
        for event in ("ready", "request"):
            await bench.happen(event, 0)
        bench.dispatcher.draining = True
        await model_ends(bench)
        assert bench.clients[0].written.startswith(NOT_READY)
        await bench.end()

    run(scenario)


@pytest.mark.parametrize(("moments", "answered"), [(0, False), (6, True)], ids=["just-now", "long-ago"])
def test_who_came_directly_is_known_for_a_moment_after_activators_have_closed_their_connections(
    moments: int, answered: bool
) -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(2, 5, None, clock)
        await bench.happen("ready", 0)
        activators = [ActivatorConnection(bench.dispatcher.slots) for _ in range(2)]
        for activator in activators:
            activator.connection_made(_Listening())
        for activator in activators:
            activator.connection_lost(None)
        for _ in range(moments):
            await bench.happen("moment", 0)
        await bench.happen("request", 0)
        await model_ends(bench)
        assert bench.clients[0].written.startswith(NOT_READY) is answered
        await bench.end()

    run(scenario)


class _Listening(asyncio.Transport):
    """An activator that takes whatever it is told."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass
