"""The dispatcher: what happens with a request, on virtual time."""

from __future__ import annotations

import pytest

from activator.messages import EndpointState, HoldBounds, Precedence
from tests.unit.activator.activator_world import OK, World

READY, STARTING, DRAINING = EndpointState.READY, EndpointState.STARTING, EndpointState.DRAINING


async def test_with_a_ready_endpoint_a_request_is_forwarded_at_once_and_wakes_nobody() -> None:
    world = World()
    world.route(READY)
    client = world.send()
    upstream = world.accept(0)
    assert upstream.written.startswith(b"GET /v1/work HTTP/1.1\r\n")
    upstream.receive(OK)
    assert client.statuses == [b"200"]
    stats = world.dispatcher.stats()
    assert (stats.arrived, stats.completed, stats.running, stats.waiting) == (1, 1, 0, 0)
    assert world.wakes == []


async def test_without_an_endpoint_the_first_request_wakes_in_the_same_instant_and_then_each_doubling() -> None:
    world = World()
    world.route()
    woken_by = []
    for number in range(1, 40):
        before = len(world.wakes)
        world.send()
        if len(world.wakes) > before:
            woken_by.append(number)
    assert woken_by == [1, 2, 4, 8, 16, 32]


async def test_a_service_that_fell_asleep_is_woken_again_by_the_next_first_request() -> None:
    world = World()
    world.route()
    world.send().leave()
    assert len(world.wakes) == 1
    world.send()
    assert len(world.wakes) == 2


async def test_when_the_last_endpoint_is_lost_those_who_wait_wake_the_service() -> None:
    world = World()
    world.route(READY, capacity=1)
    world.send()
    world.send()
    assert world.wakes == []
    world.route()
    assert len(world.wakes) == 1


async def test_its_own_answer_releases_as_much_as_the_endpoint_has_room_for() -> None:
    world = World()
    world.route(STARTING, capacity=3)
    clients = [world.send() for _ in range(5)]
    assert world.asked == [world.load(0)]
    world.timers.pass_time(7.0)
    world.dispatcher.proven(world.load(0))
    assert world.dialled(0) == 3
    world.accept(0).receive(OK)
    assert [client.statuses for client in clients] == [[b"200"], [], [], [], []]
    # The place that was given back is taken again on the same connection, in the same event.
    assert world.dispatcher.stats().waiting == 1
    assert world.asked == []


async def test_readiness_restarts_the_clock_of_those_who_waited_for_it() -> None:
    world = World()
    world.route(STARTING, capacity=1)
    clients = [world.send(), world.send()]
    world.timers.pass_time(59.0)
    world.dispatcher.proven(world.load(0))
    world.timers.pass_time(19.9)
    assert clients[1].statuses == []
    world.timers.pass_time(0.2)
    assert clients[1].statuses == [b"429"]
    assert b"retry-after: " in clients[1].answered


@pytest.mark.parametrize(
    ("states", "status", "says"),
    [((), b"503", b"no replica is ready"), ((READY,), b"429", b"every replica is full")],
)
async def test_a_full_hold_refuses_by_what_is_lacking(
    states: tuple[EndpointState, ...], status: bytes, says: bytes
) -> None:
    world = World()
    hold = HoldBounds(requests=1, bytes=0, no_endpoint_seconds=60.0, full_seconds=20.0)
    world.route(*states, capacity=1, hold=hold)
    if states:
        world.send()
    world.send()
    refused = world.send()
    assert refused.statuses == [status]
    assert says in refused.answered
    assert world.dispatcher.stats().refused == 1


async def test_bodies_count_by_the_most_that_they_may_take() -> None:
    world = World()
    hold = HoldBounds(requests=9, bytes=70_000, no_endpoint_seconds=60.0, full_seconds=20.0)
    world.route(hold=hold)
    world.send(body=b"x" * 5_000)
    assert world.dispatcher.stats().held_bytes == 5_000
    world.send()
    assert world.dispatcher.stats().held_bytes == 5_000
    chunked = world.send(headers={"transfer-encoding": "chunked"})
    assert chunked.statuses == [b"503"]
    assert b"memory" in chunked.answered


async def test_a_refused_connection_goes_to_another_endpoint_and_is_not_a_failure() -> None:
    world = World()
    world.route(READY, READY, capacity=1)
    client = world.send()
    first = 0 if world.dialled(0) else 1
    world.refuse(first)
    world.accept(1 - first).receive(OK)
    world.timers.pass_time(0.0)
    assert client.statuses == [b"200"]
    stats = world.dispatcher.stats()
    assert (stats.arrived, stats.completed, stats.failed) == (1, 1, 0)
    assert world.dispatcher.recorder.retries == 1


async def test_requests_that_came_back_go_out_again_in_their_old_order_ahead_of_newer_ones() -> None:
    world = World()
    world.route(READY, capacity=2)
    clients = [world.send(f"/{n}") for n in range(4)]
    world.refuse(0)
    world.refuse(0)
    assert world.dispatcher.stats().waiting == 4
    world.timers.pass_time(0.1)
    world.dispatcher.proven(world.load(0))
    first, second = world.accept(0), world.accept(0)
    assert [first.written.split()[1], second.written.split()[1]] == [b"/0", b"/1"]
    second.receive(OK)
    assert second.written.count(b"GET /2 ") == 1
    assert clients[1].statuses == [b"200"]


async def test_an_endpoint_that_refuses_is_tried_again_after_its_back_off_with_one_request() -> None:
    world = World()
    world.route(READY, capacity=8)
    clients = [world.send() for _ in range(3)]
    for _ in range(3):
        world.refuse(0)
    assert world.dialled(0) == 0
    assert world.asked == [world.load(0)]
    world.timers.pass_time(0.06)
    assert world.dialled(0) == 1
    world.accept(0).receive(OK)
    assert clients[0].statuses == [b"200"]
    assert world.dispatcher.endpoints.any_ready


async def test_a_replica_that_dies_is_an_honest_502_and_nothing_is_sent_again() -> None:
    world = World()
    world.route(READY, READY, capacity=1)
    client = world.send()
    first = 0 if world.dialled(0) else 1
    world.accept(first).lose(ConnectionResetError())
    world.timers.pass_time(0.0)
    assert client.statuses == [b"502"]
    assert world.dialled(1 - first) == 0
    stats = world.dispatcher.stats()
    assert (stats.failed, stats.running, stats.completed) == (1, 0, 0)


async def test_a_client_that_leaves_while_waiting_is_never_forwarded() -> None:
    world = World()
    world.route(STARTING)
    first, second = world.send("/first"), world.send("/second")
    first.leave()
    world.dispatcher.proven(world.load(0))
    assert world.accept(0).written.startswith(b"GET /second ")
    assert world.dialled(0) == 0
    assert second.statuses == []
    assert world.dispatcher.stats().abandoned == 1


async def test_a_client_that_leaves_while_its_connection_is_made_gives_its_place_to_the_next() -> None:
    world = World()
    world.route(READY, capacity=1)
    first = world.send("/first")
    world.send("/second")
    first.leave()
    assert world.dialled(0) == 2
    stats = world.dispatcher.stats()
    assert (stats.abandoned, stats.running, stats.waiting) == (1, 1, 0)


async def test_a_removed_endpoint_gets_nothing_new_and_its_requests_finish() -> None:
    world = World()
    world.route(READY, capacity=2)
    client = world.send()
    upstream = world.accept(0)
    world.route()
    world.send()
    assert world.dialled(0) == 0
    upstream.receive(OK)
    assert client.statuses == [b"200"]


async def test_connections_to_a_removed_endpoint_are_not_kept() -> None:
    world = World()
    world.route(READY)
    world.send()
    idle = world.accept(0)
    idle.receive(OK)
    assert not idle.closing
    world.route()
    assert idle.closing


async def test_what_a_wake_adds_is_measured_once_and_only_when_somebody_waited_for_it() -> None:
    world = World()
    world.route(STARTING)
    world.dispatcher.proven(world.load(0))
    world.send()
    assert _observations(world) == 0
    world.route()
    world.send()
    world.route(READY)
    world.send()
    assert _observations(world) == 1


def _observations(world: World) -> int:
    return max(count for _, count in world.dispatcher.recorder.wake_overhead.cumulative())


async def test_without_a_capacity_a_great_hold_does_not_leave_in_one_turn() -> None:
    world = World()
    world.route(STARTING, hold=HoldBounds(requests=1_000, bytes=0, no_endpoint_seconds=60.0, full_seconds=20.0))
    for _ in range(600):
        world.send()
    world.dispatcher.proven(world.load(0))
    assert world.dialled(0) == 256
    world.timers.pass_time(0.0)
    assert world.dialled(0) == 600


async def test_a_priority_counts_only_where_the_policy_says_so() -> None:
    for honoured, expected in ((False, [b"/low", b"/high"]), (True, [b"/high", b"/low"])):
        world = World()
        world.route(STARTING, capacity=1, precedence=Precedence(priority_header=honoured))
        for name in ("low", "high"):
            world.send("/" + name, headers={"pilotlight-priority": name})
        world.dispatcher.proven(world.load(0))
        upstream = world.accept(0)
        upstream.receive(OK)
        assert [line.split()[1] for line in upstream.written.splitlines() if line.startswith(b"GET")] == expected
        assert b"pilotlight-priority" not in upstream.written


async def test_tenants_take_turns_and_who_is_put_out_is_told_to_come_back() -> None:
    world = World()
    hold = HoldBounds(requests=3, bytes=0, no_endpoint_seconds=60.0, full_seconds=20.0)
    world.route(READY, capacity=1, hold=hold, precedence=Precedence(tenant_header="x-tenant"))
    world.send("/running")
    many = [world.send(f"/many/{number}", headers={"x-tenant": "many"}) for number in range(3)]
    world.send("/few", headers={"x-tenant": "few"})
    assert [client.statuses for client in many] == [[], [], [b"429"]]
    assert b"retry-after: 1\r\n" in many[2].answered
    assert b"fewer" in many[2].answered
    upstream = world.accept(0)
    for _ in range(4):
        upstream.receive(OK)
    asked = [line.split()[1] for line in upstream.written.splitlines() if line.startswith(b"GET")]
    assert asked == [b"/running", b"/many/0", b"/few", b"/many/1"]
    stats = world.dispatcher.stats()
    assert (stats.completed, stats.refused, stats.waiting) == (4, 1, 0)
