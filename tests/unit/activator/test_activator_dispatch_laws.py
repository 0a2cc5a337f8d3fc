"""Whatever happens, every request ends once, and no endpoint is given more than it takes. On virtual time."""

from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from activator.messages import EndpointState
from tests.unit.activator.activator_world import OK, Client, World

READY, STARTING, DRAINING = EndpointState.READY, EndpointState.STARTING, EndpointState.DRAINING


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["send", "leave", "accept", "refuse", "answer", "die", "table", "proven", "time"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(events=EVENTS)
@example(events=[("send", 0), ("leave", 0), ("accept", 0), ("time", 1), ("send", 0)])
def test_whatever_happens_every_request_ends_once_and_no_endpoint_is_given_more_than_it_takes(
    events: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        world = World()
        world.route(READY, STARTING, capacity=2)
        clients: list[Client] = []
        left: set[int] = set()
        for event, number in events:
            _happen(world, clients, left, event, number)
            world.timers.pass_time(0.0)
            _holds(world, clients)
        world.route()
        for upstream in world.upstreams.values():
            while upstream.attempts:
                upstream.refuse_next()
            for transport in upstream.transports:
                transport.lose(ConnectionResetError())
        world.timers.pass_time(200.0)
        assert world.dispatcher.idle
        for index, client in enumerate(clients):
            assert index in left or len(client.statuses) == 1
            assert len(client.statuses) <= 1

    # With a factory of its own the runner leaves the event loop of the test session alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(run())


def _happen(world: World, clients: list[Client], left: set[int], event: str, number: int) -> None:
    upstream = world.upstreams.get(9_000 + number % 2)
    open_connections = [] if upstream is None else [t for t in upstream.transports if not t.closing]
    match event:
        case "send":
            clients.append(world.send(body=b"x" * number))
        case "leave" if clients:
            clients[number % len(clients)].leave()
            left.add(number % len(clients))
        case "accept" if upstream is not None and upstream.attempts:
            upstream.connect_next()
        case "refuse" if upstream is not None and upstream.attempts:
            upstream.refuse_next()
        case "answer" if open_connections:
            transport = open_connections[number % len(open_connections)]
            protocol = transport.protocol
            if getattr(protocol, "exchange", None) is not None:
                transport.receive(OK)
        case "die" if open_connections:
            open_connections[number % len(open_connections)].lose(ConnectionResetError())
        case "table":
            tables = [(READY, STARTING), (STARTING, READY), (READY, READY), (DRAINING, READY), (READY,), ()]
            world.route(*tables[number], capacity=2)
        case "proven" if number < len(list(world.dispatcher.endpoints.all())):
            world.dispatcher.proven(list(world.dispatcher.endpoints.all())[number])
        case "time":
            world.timers.pass_time(0.05 * 4.0**number)


def _holds(world: World, clients: list[Client]) -> None:
    stats = world.dispatcher.stats()
    assert all(load.in_flight <= 2 for load in world.dispatcher.endpoints.all())
    ended = stats.completed + stats.refused + stats.failed + stats.abandoned
    assert stats.arrived == len(clients) == ended + stats.running + stats.waiting
    assert stats.waiting == len(world.dispatcher.hold)
