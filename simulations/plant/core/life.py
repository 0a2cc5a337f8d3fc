"""The life of replicas: ordered, scheduled, placed on a node, image, runtime, weights, engine, ready, draining, gone.

A replica takes its GPUs when it is placed and gives them back when it is gone. Transfers from far share what bandwidth
there is; a node that has started a service keeps its image and weights. A start that fails keeps its node, waits, and
tries again from its runtime on, as a crashed container does. A node that is taken back takes its replica with it.
"""

from __future__ import annotations

from simulations.plant.codes import (
    BACKING_OFF,
    BOOTING,
    CUT,
    DRAINING,
    INFINITE,
    LOADING,
    NONE,
    ON_NEW_NODE,
    P_SCHEDULE,
    PULLING,
    READY,
    SCHEDULING,
    STOPPING,
    UNPLACED,
    WARMING,
)
from simulations.plant.core.areas import touch_load, touch_replicas
from simulations.plant.core.draws import counted, phase_seconds, share
from simulations.plant.core.hold import changed, regime_changed
from simulations.plant.core.ledger import end_attempt
from simulations.plant.core.nodes import give_back, place, transfer_ended
from simulations.plant.core.ready import leave
from simulations.plant.core.requests import release
from simulations.plant.core.start import (
    be_ready,
    begin_booting,
    begin_loading,
    begin_pulling,
    end_loading,
    end_pulling,
    fail,
    find_place,
    forget_unplaced,
    settle,
    wake_at,
)
from simulations.plant.records import State


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
    (`deletion_order.go_first`); then the youngest, as a ReplicaSet has it."""
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
    replica.line_at = INFINITE
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
    elif replica.state == READY:
        reclaim(p, r, now)
    elif replica.state == DRAINING:
        stop(p, r, now)
    elif replica.state == STOPPING:
        service.draining -= 1
        changed(p, s, now)
        be_gone(p, r, now)


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
    if replica.state == BOOTING or replica.state == LOADING or replica.state == WARMING:
        service.draining += 1
        end_process(p, r, now)
    else:
        be_gone(p, r, now)


def reclaim(p: State, r: int, now: float) -> None:
    """Its node is taken back: it has the time of the notice to finish what it has. Another is begun in its place at
    once, as a ReplicaSet does; nobody has to order it."""
    s = p.replicas[r].service
    service = p.services[s]
    changed(p, s, now)
    service.reclaimed += 1
    remove(p, r, now)
    if p.replicas[r].state == DRAINING:
        notice = service.reclaim_notice
        if service.drain_seconds > 0.0:
            notice = min(notice, service.drain_seconds)
        wake_at(p, r, now, now + notice)
    begin_replica(p, s, now)


def stop(p: State, r: int, now: float) -> None:
    """A draining replica ends; what it still has is cut off."""
    replica = p.replicas[r]
    s = replica.service
    service = p.services[s]
    touch_replicas(p, s, now)
    if replica.in_flight > 0:
        cut_off(p, r, service.oldest, now)
        cut_off(p, r, service.first_abandoned, now)
    end_process(p, r, now)


def cut_off(p: State, r: int, i: int, now: float) -> None:
    """End what a replica has of these: a request, and those linked behind it."""
    while i != NONE:
        after = p.requests[i].newer
        if p.requests[i].replica == r:
            release(p, i, now)
            end_attempt(p, i, CUT, now)
        i = after


def end_process(p: State, r: int, now: float) -> None:
    """It is draining and has nothing left. Its process takes a while to end."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    if service.stop_seconds > 0.0:
        replica.state = STOPPING
        wake_at(p, r, now, now + service.stop_seconds)
        return
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
