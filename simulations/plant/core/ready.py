"""Ready replicas, by how much each has in flight: who has most room, and of equals who has been so for longest.

As `activator.endpoints` picks: groups of equal numbers in order, each a line. A request moves its replica by one, so
to the next group or to a new one between: O(1), however many replicas there are.
"""

from __future__ import annotations

from simulations.plant.codes import NONE
from simulations.plant.records import State


def most_room(p: State, s: int) -> int:
    """The replica that gets the next request, NONE when none has room."""
    service = p.services[s]
    g = service.least_group
    if g == NONE or (service.limit > 0 and p.groups[g].count >= service.limit):
        return NONE
    return p.groups[g].first


def join(p: State, s: int, r: int) -> None:
    """A replica is ready; it has nothing in flight."""
    service = p.services[s]
    g = service.least_group
    if g == NONE or p.groups[g].count > 0:
        g = new_group(p, 0, NONE, g)
        service.least_group = g
    append(p, g, r)


def leave(p: State, s: int, r: int) -> None:
    """A replica is ready no longer."""
    g = p.replicas[r].group
    unlink(p, g, r)
    if p.groups[g].first == NONE:
        drop_group(p, s, g)
    p.replicas[r].group = NONE


def one_more(p: State, s: int, r: int) -> None:
    """The replica has one request more."""
    g = p.replicas[r].group
    group = p.groups[g]
    count = group.count + 1
    higher = group.higher
    fits = higher != NONE and p.groups[higher].count == count
    if not fits and group.first == r and group.last == r:
        group.count = count
        return
    if not fits:
        higher = new_group(p, count, g, higher)
    unlink(p, g, r)
    if p.groups[g].first == NONE:
        drop_group(p, s, g)
    append(p, higher, r)


def one_less(p: State, s: int, r: int) -> None:
    """The replica has one request less."""
    g = p.replicas[r].group
    group = p.groups[g]
    count = group.count - 1
    lower = group.lower
    fits = lower != NONE and p.groups[lower].count == count
    if not fits and group.first == r and group.last == r:
        group.count = count
        return
    if not fits:
        lower = new_group(p, count, lower, g)
        if p.groups[lower].lower == NONE:
            p.services[s].least_group = lower
    unlink(p, g, r)
    if p.groups[g].first == NONE:
        drop_group(p, s, g)
    append(p, lower, r)


def append(p: State, g: int, r: int) -> None:
    """To the end of the group's line."""
    group, replica = p.groups[g], p.replicas[r]
    replica.group = g
    replica.group_next = NONE
    replica.group_previous = group.last
    if group.last == NONE:
        group.first = r
    else:
        p.replicas[group.last].group_next = r
    group.last = r


def unlink(p: State, g: int, r: int) -> None:
    """Out of the group's line."""
    group, replica = p.groups[g], p.replicas[r]
    if replica.group_previous == NONE:
        group.first = replica.group_next
    else:
        p.replicas[replica.group_previous].group_next = replica.group_next
    if replica.group_next == NONE:
        group.last = replica.group_previous
    else:
        p.replicas[replica.group_next].group_previous = replica.group_previous


def new_group(p: State, count: int, lower: int, higher: int) -> int:
    """An empty group between two others. There are more groups than replicas, so one is free."""
    world = p.world[0]
    g = world.free_group
    group = p.groups[g]
    world.free_group = group.higher
    group.count = count
    group.first = group.last = NONE
    group.lower, group.higher = lower, higher
    if lower != NONE:
        p.groups[lower].higher = g
    if higher != NONE:
        p.groups[higher].lower = g
    return g


def drop_group(p: State, s: int, g: int) -> None:
    """A group without replicas goes."""
    world, group = p.world[0], p.groups[g]
    if group.lower == NONE:
        p.services[s].least_group = group.higher
    else:
        p.groups[group.lower].higher = group.higher
    if group.higher != NONE:
        p.groups[group.higher].lower = group.lower
    group.higher = world.free_group
    world.free_group = g
