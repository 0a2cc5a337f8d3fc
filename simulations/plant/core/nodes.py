"""Nodes and what replicas share there: GPUs, caches, the bandwidth of transfers from far."""

from __future__ import annotations

from simulations.plant.codes import INFINITE, LIFE, NODE_IDLE, NONE, P_NODE, TRANSFER
from simulations.plant.core.draws import phase_seconds
from simulations.plant.core.events import push
from simulations.plant.records import State


def place(p: State, r: int, now: float) -> bool:
    """Give the replica a node: one that has its weights before one that has its image before any other; of equals the
    fullest that is large enough, so that large gaps stay. Without room on any, a node is made, if one more may be."""
    world, replica = p.world[0], p.replicas[r]
    s = replica.service
    gpus = p.services[s].gpus
    best, best_worth, best_free, absent = NONE, -1, 0, NONE
    for n in range(world.nodes):
        node = p.nodes[n]
        if node.there == 0:
            if absent == NONE:
                absent = n
        elif node.gpus_free >= gpus:
            worth = 2 * p.caches[n * world.services + s] + (1 if node.ready_at <= now else 0)
            if worth > best_worth or (worth == best_worth and node.gpus_free < best_free):
                best, best_worth, best_free = n, worth, node.gpus_free
    if best == NONE:
        if absent == NONE:
            return False
        best = absent
        make_node(p, best, now, phase_seconds(p, s, replica.number, P_NODE))
    node = p.nodes[best]
    node.gpus_free -= gpus
    node.replicas += 1
    replica.node = best
    world.gpus_used += gpus
    world.most_gpus = max(world.most_gpus, world.gpus_used)
    return True


def make_node(p: State, n: int, now: float, seconds: float) -> None:
    """A node is ordered. It has nothing in its caches."""
    world, node = p.world[0], p.nodes[n]
    count_nodes(p, now)
    world.nodes_there += 1
    node.there = 1
    node.ready_at = now + seconds
    node.gpus_free = world.gpus_per_node
    node.replicas = 0
    for s in range(world.services):
        p.caches[n * world.services + s] = 0


def give_back(p: State, n: int, gpus: int, now: float) -> None:
    """A replica is gone from its node."""
    world, node = p.world[0], p.nodes[n]
    node.gpus_free += gpus
    node.replicas -= 1
    world.gpus_used -= gpus
    if node.replicas == 0 and n >= world.lasting_nodes:
        node.idle_since = now
        push(p, now + world.node_idle_seconds, NODE_IDLE, n)


def node_idle(p: State, n: int, now: float) -> None:
    """A made node goes, if nothing has come to it since."""
    world, node = p.world[0], p.nodes[n]
    if node.there and node.replicas == 0 and now >= node.idle_since + world.node_idle_seconds:
        count_nodes(p, now)
        world.nodes_there -= 1
        node.there = 0


def count_nodes(p: State, now: float) -> None:
    """Bring the seconds of nodes up to `now`."""
    world = p.world[0]
    world.node_seconds += world.nodes_there * (now - world.nodes_at)
    world.nodes_at = now


def begin_transfer(p: State, k: int, r: int, seconds: float, now: float) -> None:
    """A transfer that would take so long alone."""
    link, replica = p.links[k], p.replicas[r]
    move(p, k, now)
    link.active += 1
    replica.far = k
    replica.far_target = link.moved + seconds
    replica.phase_at = now
    replica.life_at = INFINITE
    look_again_at_link(p, k, now)


def move(p: State, k: int, now: float) -> None:
    """All transfers go on, equally: at full speed as long as there are no more than streams."""
    link = p.links[k]
    if link.active > 0:
        link.moved += (now - link.moved_at) * min(1.0, link.streams / link.active)
    link.moved_at = now


def look_again_at_link(p: State, k: int, now: float) -> None:
    """See to it that an event is there when the next transfer ends."""
    link = p.links[k]
    target = INFINITE
    for r in range(p.world[0].replica_room):
        if p.replicas[r].far == k and p.replicas[r].far_target < target:
            target = p.replicas[r].far_target
    if target == INFINITE:
        link.scheduled_at = INFINITE
        return
    at = now + max(0.0, target - link.moved) * max(1.0, link.active / link.streams)
    link.scheduled_at = at
    push(p, at, TRANSFER, k)


def transfer_event(p: State, k: int, now: float) -> None:
    """The transfers that are done are done. A billionth of a second makes up for rounding."""
    link = p.links[k]
    if now != link.scheduled_at:
        return
    move(p, k, now)
    for r in range(p.world[0].replica_room):
        replica = p.replicas[r]
        if replica.far == k and replica.far_target <= link.moved + 1e-9 * max(1.0, link.moved):
            replica.far = NONE
            link.active -= 1
            replica.life_at = now
            push(p, now, LIFE, r)
    look_again_at_link(p, k, now)


def transfer_ended(p: State, r: int, now: float) -> None:
    """A replica goes in the middle of a transfer."""
    replica = p.replicas[r]
    k = replica.far
    move(p, k, now)
    p.links[k].active -= 1
    replica.far = NONE
    look_again_at_link(p, k, now)
