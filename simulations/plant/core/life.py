"""The life of replicas: ordered, scheduled, placed on a node, image, runtime, weights, engine, ready, draining, gone.

A replica takes its GPUs when it is placed and gives them back when it is gone. Transfers from far share what bandwidth
there is; a node that has started a service keeps its image and weights. A start that fails keeps its node, waits, and
tries again from its runtime on, as a crashed container does.
"""

from __future__ import annotations

from simulations.plant.core.areas import touch_load, touch_replicas
from simulations.plant.core.heap import counted, phase_seconds, push, share
from simulations.plant.core.ledger import end_attempt
from simulations.plant.core.nodes import begin_transfer, give_back, place, transfer_ended
from simulations.plant.core.ready import join, leave
from simulations.plant.core.requests import changed, regime_changed, release
from simulations.plant.records import (
    BACKING_OFF,
    BOOTING,
    CUT,
    DRAINING,
    INFINITE,
    LIFE,
    LOADING,
    NONE,
    ON_NEW_NODE,
    P_ENGINE,
    P_IMAGE,
    P_IMAGE_CACHED,
    P_RUNTIME,
    P_SCHEDULE,
    P_WEIGHTS,
    P_WEIGHTS_CACHED,
    PULLING,
    READY,
    SCHEDULING,
    STARTS_KEPT,
    UNPLACED,
    WARMING,
    State,
)


def order(p: State, s: int, wanted: int, now: float) -> None:
    """So many replicas are wanted. There is room for the new ones."""
    service = p.services[s]
    touch_replicas(p, s, now)
    change = wanted - service.wanted
    if change > 0:
        service.raised += change
        service.reversals += 1 if service.direction < 0 else 0
        service.direction = 1
    elif change < 0:
        service.lowered -= change
        service.reversals += 1 if service.direction > 0 else 0
        service.direction = -1
    service.wanted = wanted
    there = service.pending + service.starting + service.ready + service.backing_off
    while there < wanted:
        begin_replica(p, s, now)
        there += 1
    while there > wanted:
        remove(p, spare(p, s), now)
        there -= 1


def spare(p: State, s: int) -> int:
    """Who goes first: failed, pending, starting, ready; then the idlest, where pods' deletion costs say so
    (`service.go_first`); then the youngest, as a ReplicaSet has it."""
    best, best_rank, best_load, best_number = NONE, 9, 0, 0
    by_load = p.services[s].idle_first
    r = p.services[s].first_replica
    while r != NONE:
        replica = p.replicas[r]
        rank = rank_of(replica.state)
        load = replica.in_flight if by_load == 1 else 0
        if rank < 9 and (
            rank < best_rank
            or (rank == best_rank and (load < best_load or (load == best_load and replica.number > best_number)))
        ):
            best, best_rank, best_load, best_number = r, rank, load, replica.number
        r = replica.next
    return best


def rank_of(state: int) -> int:
    """The place of a state in the order of going."""
    if state == BACKING_OFF:
        return 0
    if state <= ON_NEW_NODE:
        return 1
    if state <= WARMING:
        return 2
    return 3 if state == READY else 9


def begin_replica(p: State, s: int, now: float) -> None:
    """A replica is ordered."""
    world, service = p.world[0], p.services[s]
    r = world.free_replica
    replica = p.replicas[r]
    world.free_replica = replica.next
    world.replicas_used += 1
    replica.service = s
    replica.number = service.start_number
    service.start_number += 1
    replica.failures = 0
    replica.node = NONE
    replica.previous, replica.next = NONE, service.first_replica
    if service.first_replica != NONE:
        p.replicas[service.first_replica].previous = r
    service.first_replica = r
    replica.ordered_at = replica.attempt_at = now
    replica.schedule_phase = replica.node_phase = replica.image_phase = 0.0
    replica.runtime_phase = replica.weights_phase = replica.engine_phase = 0.0
    replica.state = SCHEDULING
    service.pending += 1
    wake_at(p, r, now, now + phase_seconds(p, s, replica.number, P_SCHEDULE))


def wake_at(p: State, r: int, now: float, at: float) -> None:
    """Its phase begins now and ends then."""
    replica = p.replicas[r]
    replica.phase_at = now
    replica.life_at = at
    push(p, at, LIFE, r)


def life_event(p: State, r: int, now: float) -> None:
    """A phase has ended."""
    replica = p.replicas[r]
    if now != replica.life_at:
        return
    replica.life_at = INFINITE
    s = replica.service
    service = p.services[s]
    touch_replicas(p, s, now)
    if replica.state == SCHEDULING:
        replica.schedule_phase = now - replica.phase_at
        find_place(p, r, now)
    elif replica.state == ON_NEW_NODE:
        replica.node_phase = now - replica.phase_at
        service.pending -= 1
        service.on_new_node -= 1
        service.starting += 1
        begin_pulling(p, r, now)
    elif replica.state == PULLING:
        end_pulling(p, r, now)
    elif replica.state == BOOTING:
        replica.runtime_phase = now - replica.phase_at
        begin_loading(p, r, now)
    elif replica.state == LOADING:
        end_loading(p, r, now)
    elif replica.state == WARMING:
        replica.engine_phase = now - replica.phase_at
        if share(counted(p.world[0].seed, s, replica.number, 103)) < service.failure:
            fail(p, r, now)
        else:
            be_ready(p, r, now)
    elif replica.state == BACKING_OFF:
        service.backing_off -= 1
        service.starting += 1
        replica.number = service.start_number
        service.start_number += 1
        replica.attempt_at = now
        begin_booting(p, r, now)
    elif replica.state == DRAINING:
        stop(p, r, now)


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
    service.schedule_phase += replica.schedule_phase
    service.node_phase += replica.node_phase
    service.image_phase += replica.image_phase
    service.runtime_phase += replica.runtime_phase
    service.weights_phase += replica.weights_phase
    service.engine_phase += replica.engine_phase
    join(p, s, r)
    if service.ready == 1:
        regime_changed(p, s, now)
    p.world[0].pump = s


def remove(p: State, r: int, now: float) -> None:
    """It is to go: at once, or when it has finished what it has."""
    replica = p.replicas[r]
    s = replica.service
    service = p.services[s]
    if replica.state == READY:
        touch_load(p, s, now)
        leave(p, s, r)
        service.ready -= 1
        if replica.in_flight > 0:
            service.busy -= 1
        service.draining += 1
        replica.state = DRAINING
        if service.ready == 0:
            regime_changed(p, s, now)
        if replica.in_flight == 0:
            stop(p, r, now)
        elif service.drain_seconds > 0.0:
            wake_at(p, r, now, now + service.drain_seconds)
        return
    if replica.state == BACKING_OFF:
        service.backing_off -= 1
    elif replica.state <= ON_NEW_NODE:
        service.pending -= 1
        if replica.state == ON_NEW_NODE:
            service.on_new_node -= 1
    else:
        service.starting -= 1
    if replica.far != NONE:
        transfer_ended(p, r, now)
    be_gone(p, r, now)


def stop(p: State, r: int, now: float) -> None:
    """A draining replica ends; what it still has is cut off."""
    replica = p.replicas[r]
    s = replica.service
    service = p.services[s]
    touch_replicas(p, s, now)
    if replica.in_flight > 0:
        i = service.oldest
        while i != NONE:
            after = p.requests[i].newer
            if p.requests[i].replica == r:
                release(p, i, now)
                end_attempt(p, i, CUT, now)
            i = after
    service.draining -= 1
    be_gone(p, r, now)


def be_gone(p: State, r: int, now: float) -> None:
    """Its GPUs are free, and whoever waits for some may have them."""
    world, replica = p.world[0], p.replicas[r]
    service = p.services[replica.service]
    if replica.state == UNPLACED:
        forget_unplaced(p, r)
    if replica.previous == NONE:
        service.first_replica = replica.next
    else:
        p.replicas[replica.previous].next = replica.next
    if replica.next != NONE:
        p.replicas[replica.next].previous = replica.previous
    replica.state = 0
    replica.life_at = INFINITE
    node = replica.node
    replica.next = world.free_replica
    world.free_replica = r
    world.replicas_used -= 1
    if node != NONE:
        give_back(p, node, service.gpus, now)
        place_those_who_wait(p, now)


def place_those_who_wait(p: State, now: float) -> None:
    """In the order in which they came; one that needs more than there is does not keep a smaller one waiting."""
    world = p.world[0]
    r = world.unplaced
    while r != NONE:
        after = p.replicas[r].behind
        if world.gpus_used >= world.gpus_per_node * world.nodes:
            return
        touch_replicas(p, p.replicas[r].service, now)
        if place(p, r, now):
            forget_unplaced(p, r)
            p.replicas[r].schedule_phase = now - p.replicas[r].ordered_at
            settle(p, r, now)
        r = after


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
