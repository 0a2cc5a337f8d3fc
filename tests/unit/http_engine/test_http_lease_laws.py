"""Whatever happens, in whatever order: each lease is released once, nothing hangs, nothing is sent twice."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from queue_proxy.http import Answer, Outcome
from queue_proxy.http.lease_holder import DONE
from tests.unit.http_engine.http_lives import Event, World, disturbed


@settings(max_examples=600, deadline=None)
@given(disturbed())
async def test_each_lease_is_released_once_whatever_happens(events: list[Event]) -> None:
    world = World()
    for event in events:
        world.do(event)
        world.check()
    world.end()
    assert all(len(lease.outcomes) == 1 for lease in world.dispatcher.leases)
    assert world.dispatcher.waiting == []
    assert all(exchange.state is DONE for exchange in world.dispatcher.arrived)
    assert world.server.connections == 0
    for transport in world.upstream.transports:
        assert transport.protocol.exchange is None  # type: ignore[attr-defined]
    kept = sum(not transport.closing for transport in world.upstream.transports)
    assert kept == world.upstream.idle, "a connection is neither in the pool nor closed"
    sent = b"".join(transport.written for transport in world.upstream.transports)
    targets = re.findall(rb"[A-Z]+ (/\S+) HTTP", sent)
    assert len(targets) == len(set(targets)), "a request was sent twice"
    world.upstream.close()


ABORTS: dict[str, Callable[[World], None]] = {
    "client resets": World.do_client_lost,
    "client ends": World.do_client_eof,
    "server closes": World.do_close,
}
STEPS: dict[str, tuple[tuple[Event, ...], Outcome | None]] = {
    "waiting": ((("request", "get"),), None),
    "connecting": ((("request", "get"), ("forward", "")), Outcome.ABANDONED),
    "body half there": ((("request", "post"), ("forward", ""), ("connected", "")), Outcome.ABANDONED),
    "sent": ((("request", "get"), ("forward", ""), ("connected", "")), Outcome.ABANDONED),
    "answer's head half there": (
        (("request", "get"), ("forward", ""), ("connected", ""), ("answer", "part")),
        Outcome.ABANDONED,
    ),
    "answering": (
        (("request", "get"), ("forward", ""), ("connected", ""), ("answer", "start")),
        Outcome.ABANDONED,
    ),
    "answered": ((("request", "get"), ("forward", ""), ("connected", ""), ("answer", "whole")), Outcome.COMPLETED),
    "events begun": (
        (("request", "get"), ("begin_events", ""), ("forward", ""), ("connected", "")),
        Outcome.ABANDONED,
    ),
}


@pytest.mark.parametrize("abort", ABORTS.values(), ids=ABORTS.keys())
@pytest.mark.parametrize(("steps", "outcome"), STEPS.values(), ids=STEPS.keys())
async def test_a_client_that_leaves_gives_its_slot_back_at_once(
    steps: tuple[Event, ...], outcome: Outcome | None, abort: Callable[[World], None]
) -> None:
    world = World()
    for step in steps:
        world.do(step)
    abort(world)
    assert [lease.outcomes for lease in world.dispatcher.leases] == ([] if outcome is None else [[outcome]])
    assert len(world.dispatcher.left) == (1 if outcome is None else 0)
    world.do_deliver()
    world.end()
    assert [lease.outcomes for lease in world.dispatcher.leases] == ([] if outcome is None else [[outcome]])
    world.upstream.close()


async def test_a_connection_that_comes_too_late_serves_the_next_request() -> None:
    world = World()
    world.do(("request", "get"))
    world.do_forward()
    world.do_client_lost()
    world.do_connected()
    assert world.upstream.idle == 1
    world.do_new_client()
    world.do(("request", "get"))
    world.do_forward()
    assert world.upstream.attempts == []
    assert world.upstream.transports[0].written == b"GET /2 HTTP/1.1\r\nHost: m\r\n\r\n"
    world.end()
    world.upstream.close()


async def test_the_freed_connection_is_in_the_pool_when_the_lease_is_released() -> None:
    world = World()
    world.do(("request", "get"))
    idle_at_release: list[int] = []

    class Watching:
        def release(self, outcome: Outcome) -> None:
            idle_at_release.append(world.upstream.idle)

    world.dispatcher.waiting.pop().forward(world.upstream, Watching())
    world.do_connected()
    world.do(("answer", "whole"))
    assert idle_at_release == [1]
    world.end()
    world.upstream.close()


async def test_a_lease_that_fails_to_be_released_does_not_take_the_answer_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.do(("request", "two"))

    class Broken:
        def release(self, outcome: Outcome) -> None:
            raise LookupError("no such slot")

    world.dispatcher.waiting.pop().forward(world.upstream, Broken())
    world.do_connected()
    world.do(("answer", "whole"))
    assert world.client.written.endswith(b"hello")
    assert len(world.dispatcher.arrived) == 2, "the next request on the connection is served"
    assert "could not be released" in caplog.text
    world.end()
    world.upstream.close()


async def test_forwarding_after_the_client_left_releases_the_lease_at_once() -> None:
    world = World()
    world.do(("request", "get"))
    exchange = world.dispatcher.waiting[0]
    world.do_client_lost()
    world.dispatcher.waiting.append(exchange)
    assert world.dispatcher.forward_next(world.upstream).outcomes == [Outcome.ABANDONED]


async def test_forwarding_twice_is_refused_and_the_second_lease_stays_with_the_caller() -> None:
    world = World()
    world.do(("request", "get"))
    exchange = world.dispatcher.waiting[0]
    first = world.dispatcher.forward_next(world.upstream)
    world.dispatcher.waiting.append(exchange)
    with pytest.raises(RuntimeError, match="connecting"):
        world.dispatcher.forward_next(world.upstream)
    with pytest.raises(RuntimeError, match="connecting"):
        exchange.answer(Answer(503))
    world.dispatcher.waiting.clear()
    assert first.outcomes == []
    assert world.dispatcher.leases[1].outcomes == []
    world.dispatcher.leases.pop()
    world.end()
    world.upstream.close()
