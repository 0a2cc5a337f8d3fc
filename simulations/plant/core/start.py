"""A start: from a place on a node through image, runtime, weights and engine to ready; or to failure and a new try."""

from __future__ import annotations

from simulations.plant.codes import (
    BACKING_OFF,
    BOOTING,
    LIFE,
    LOADING,
    NONE,
    ON_NEW_NODE,
    P_ENGINE,
    P_IMAGE,
    P_IMAGE_CACHED,
    P_RUNTIME,
    P_WEIGHTS,
    P_WEIGHTS_CACHED,
    PULLING,
    READY,
    STARTS_KEPT,
    UNPLACED,
    WARMING,
)
from simulations.plant.core.areas import scrape_from_now_on, touch_load
from simulations.plant.core.draws import lifetime, phase_seconds
from simulations.plant.core.events import push
from simulations.plant.core.hold import changed, regime_changed
from simulations.plant.core.nodes import begin_transfer, place
from simulations.plant.core.ready import join
from simulations.plant.core.refusals import expect_wake
from simulations.plant.records import State


def wake_at(p: State, r: int, now: float, at: float) -> None:
    """Its phase begins now and ends then."""
    replica = p.replicas[r]
    replica.phase_at = now
    replica.life_at = at
    push(p, at, LIFE, r)


def find_place(p: State, r: int, now: float) -> None:
    """On a node that has room, or is made; else it waits until there is room."""
    world, replica = p.world[0], p.replicas[r]
    if place(p, r, now):
        settle(p, r, now)
        return
    replica.state = UNPLACED
    replica.behind = NONE
    if world.unplaced == NONE:
        world.unplaced = r
    else:
        p.replicas[world.last_unplaced].behind = r
    world.last_unplaced = r


def settle(p: State, r: int, now: float) -> None:
    """It has a node, which is there or is being made, and is paid for from now on."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    replica.attempt_at = now
    ready_at = p.nodes[replica.node].ready_at
    if ready_at > now:
        replica.state = ON_NEW_NODE
        service.on_new_node += 1
        wake_at(p, r, now, ready_at)
        return
    service.pending -= 1
    service.starting += 1
    begin_pulling(p, r, now)


def begin_pulling(p: State, r: int, now: float) -> None:
    """The image; one that the node has takes less, and shares no bandwidth."""
    replica = p.replicas[r]
    s = replica.service
    replica.state = PULLING
    cached = p.caches[replica.node * p.world[0].services + s] % 2 == 1
    seconds = phase_seconds(p, s, replica.number, P_IMAGE_CACHED if cached else P_IMAGE)
    if cached or p.links[0].streams <= 0.0:
        wake_at(p, r, now, now + seconds)
    else:
        begin_transfer(p, 0, r, seconds, now)


def end_pulling(p: State, r: int, now: float) -> None:
    """The image is there, and stays on the node."""
    replica = p.replicas[r]
    replica.image_phase = now - replica.phase_at
    place_ = replica.node * p.world[0].services + replica.service
    if p.caches[place_] % 2 == 0:
        p.caches[place_] += 1
    begin_booting(p, r, now)


def begin_booting(p: State, r: int, now: float) -> None:
    """Container, process, libraries."""
    replica = p.replicas[r]
    replica.state = BOOTING
    wake_at(p, r, now, now + phase_seconds(p, replica.service, replica.number, P_RUNTIME))


def begin_loading(p: State, r: int, now: float) -> None:
    """The weights; from far, or from the node's own disk."""
    replica = p.replicas[r]
    s = replica.service
    replica.state = LOADING
    cached = p.caches[replica.node * p.world[0].services + s] >= 2
    seconds = phase_seconds(p, s, replica.number, P_WEIGHTS_CACHED if cached else P_WEIGHTS)
    if cached or p.links[1].streams <= 0.0:
        wake_at(p, r, now, now + seconds)
    else:
        begin_transfer(p, 1, r, seconds, now)


def end_loading(p: State, r: int, now: float) -> None:
    """The weights are there, and stay on the node."""
    replica = p.replicas[r]
    replica.weights_phase = now - replica.phase_at
    place_ = replica.node * p.world[0].services + replica.service
    if p.caches[place_] < 2:
        p.caches[place_] += 2
    replica.state = WARMING
    wake_at(p, r, now, now + phase_seconds(p, replica.service, replica.number, P_ENGINE))


def fail(p: State, r: int, now: float) -> None:
    """What this attempt took was for nothing; another follows after a while."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    changed(p, replica.service, now)
    service.failed_starts += 1
    service.starting_seconds -= now - replica.attempt_at
    service.failed_seconds += now - replica.attempt_at
    service.starting -= 1
    service.backing_off += 1
    pause = service.start_backoff
    for _ in range(replica.failures):
        pause = min(service.longest_backoff, pause * 2.0)
    replica.failures += 1
    replica.state = BACKING_OFF
    wake_at(p, r, now, now + pause)


def be_ready(p: State, r: int, now: float) -> None:
    """The first good answer to the readiness probe."""
    replica = p.replicas[r]
    s = replica.service
    service = p.services[s]
    touch_load(p, s, now)
    changed(p, s, now)
    replica.state = READY
    service.starting -= 1
    service.ready += 1
    service.ever_ready = 1
    p.last_starts[s * STARTS_KEPT + service.starts % STARTS_KEPT] = now - replica.ordered_at
    service.starts += 1
    expect_wake(p, s)
    service.schedule_phase += replica.schedule_phase
    service.node_phase += replica.node_phase
    service.image_phase += replica.image_phase
    service.runtime_phase += replica.runtime_phase
    service.weights_phase += replica.weights_phase
    service.engine_phase += replica.engine_phase
    if service.is_reclaimed == 1:
        wake_at(p, r, now, now + lifetime(p, s, replica.number))
    join(p, s, r)
    if service.ready == 1:
        scrape_from_now_on(p, s, now)
        regime_changed(p, s, now)
    p.world[0].pump = s


def forget_unplaced(p: State, r: int) -> None:
    """It waits for a place no longer."""
    world = p.world[0]
    after = p.replicas[r].behind
    if world.unplaced == r:
        world.unplaced = after
        if after == NONE:
            world.last_unplaced = NONE
        return
    before = world.unplaced
    while p.replicas[before].behind != r:
        before = p.replicas[before].behind
    p.replicas[before].behind = after
    if world.last_unplaced == r:
        world.last_unplaced = before
