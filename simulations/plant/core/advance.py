"""The loop over events, and the other entries from outside."""

from __future__ import annotations

from simulations.plant.codes import (
    ALARM,
    ARRIVED,
    DONE,
    ENGINE,
    EVENT_KINDS,
    INFINITE,
    LIFE,
    LINE,
    MORE_ROWS,
    NO_ROOM,
    NODE_IDLE,
    NONE,
    RETRY,
    RUNNING,
    TOLD,
    TRANSFER,
)
from simulations.plant.core.areas import touch_load, touch_replicas
from simulations.plant.core.engine import engine_event
from simulations.plant.core.events import pop
from simulations.plant.core.life import life_event, order
from simulations.plant.core.nodes import count_nodes, node_idle, transfer_event
from simulations.plant.core.requests import alarm, attempt, come, complete, line_event, pump
from simulations.plant.records import State


def advance(p: State, until: float) -> int:
    """Let everything happen up to `until`, that moment included. Returns why it stopped.

    What one event makes come is bounded by the requests and replicas there are, so that it is enough to look for room
    between two. In the heap, that is: the line has its own (core.events).
    """
    world = p.world[0]
    while True:
        if (
            world.event_room - world.events < world.requests_used + world.replicas_used + 64
            or world.requests_used >= world.request_room
            or world.free_replica == NONE
        ):
            return NO_ROOM
        if world.cursor >= world.rows and world.trace_over == 0:
            return MORE_ROWS
        arrival = p.rows[world.cursor].at if world.cursor < world.rows else INFINITE
        event = p.near[world.near - 1].at if world.near > 0 else INFINITE
        now = min(arrival, event)
        if now > until:
            world.now = until
            return ARRIVED
        world.now = now
        if event <= arrival:
            happen(p, pop(p), now)
        else:
            come(p, now)
        if world.pump != NONE:
            s = world.pump
            world.pump = NONE
            pump(p, s, now)
        if world.told != NONE:
            return TOLD


def happen(p: State, what: int, now: float) -> None:
    """One event."""
    who, kind = what // EVENT_KINDS, what % EVENT_KINDS
    done = NONE
    if kind == DONE:
        if p.requests[who].ends_at == now and p.requests[who].state == RUNNING:
            done = who
    elif kind == ENGINE:
        done = engine_event(p, who, now)
    elif kind == RETRY:
        attempt(p, who, now)
    elif kind == LIFE:
        life_event(p, who, now)
    elif kind == ALARM:
        alarm(p, who, now)
    elif kind == NODE_IDLE:
        node_idle(p, who, now)
    elif kind == TRANSFER:
        transfer_event(p, who, now)
    elif kind == LINE:
        line_event(p, who, now)
    if done != NONE:
        complete(p, done, now)


def order_at(p: State, s: int, wanted: int) -> None:
    """Order replicas now."""
    order(p, s, wanted, p.world[0].now)


def look_at_all(p: State) -> None:
    """Bring all areas up to now, so that they can be read."""
    for s in range(p.world[0].services):
        touch_load(p, s, p.world[0].now)
        touch_replicas(p, s, p.world[0].now)
    count_nodes(p, p.world[0].now)
