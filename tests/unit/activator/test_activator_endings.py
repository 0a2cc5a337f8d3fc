"""How visits end: what is counted, who goes next, and that nothing stays behind for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from activator.messages import EndpointState
from activator.tickets import Ticket
from activator.visit import Visit
from tests.unit.activator.activator_world import OK, World
from tests.unit.http_engine.http_fakes import FakeTransport

READY = EndpointState.READY


def _answered(world: World) -> None:
    world.send()
    _model(world).receive(OK)


def _held_and_answered(world: World) -> None:
    world.send()
    world.send()
    _model(world).receive(OK)
    _model(world).receive(OK)


def _left_while_held(world: World) -> None:
    world.send()
    world.send().leave()
    _model(world).receive(OK)


def _died(world: World) -> None:
    world.send()
    _model(world).lose(ConnectionResetError())


def _model(world: World) -> FakeTransport:
    """The connection of endpoint 0 that has a request on it; made if there is none yet."""
    while world.dialled(0):
        world.accept(0)
    transports = world.upstreams[9_000].transports
    return next(t for t in transports if not t.closing and getattr(t.protocol, "exchange", None) is not None)


@pytest.mark.parametrize("end", [_answered, _held_and_answered, _left_while_held, _died])
async def test_a_request_leaves_no_cycle_behind(end: Callable[[World], None]) -> None:
    world = World()
    world.route(READY, capacity=1)
    end(world)
    gc.collect()
    gc.disable()
    try:
        before = _parts()
        for _ in range(20):
            end(world)
        assert _parts() == before
    finally:
        gc.enable()


def _parts() -> int:
    return sum(type(thing) in (Visit, Ticket) for thing in gc.get_objects())


async def test_a_failure_gives_its_place_on_in_the_same_event_and_is_counted() -> None:
    world = World()
    world.route(READY, capacity=1)
    first, second = world.send("/first"), world.send("/second")
    model = world.accept(0)
    model.lose(ConnectionResetError())
    assert first.statuses == [b"502"]
    world.accept(0).receive(OK)
    assert second.statuses == [b"200"]
    stats = world.dispatcher.stats()
    assert (stats.completed, stats.failed, stats.running) == (1, 1, 0)


async def test_the_first_byte_counts_from_arrival_with_what_was_waited_and_also_when_the_client_then_leaves() -> None:
    world = World()
    world.route()
    client = world.send()
    world.timers.pass_time(2.0)
    world.route(READY)
    model = world.accept(0)
    world.timers.pass_time(1.0)
    model.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
    world.timers.pass_time(5.0)
    client.leave()
    recorder = world.dispatcher.recorder
    assert (recorder.first_byte.total, recorder.duration.total) == (3.0, 0.0)
    assert dict(recorder.first_byte.cumulative())["5.0"] == 1
    assert dict(recorder.first_byte.cumulative())["2.5"] == 0
