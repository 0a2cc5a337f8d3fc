"""Events to come, first by time, then by the number they were given.

The next few are a line with the first of them at its end, the others a heap: everything in the line is before
everything in the heap, and the line is empty only where nothing is to come. Taking the first out of a heap costs a
choice at each level that no processor can foretell; out of the line it costs nothing, and to find a place in it a walk
past those that come sooner. Some thirty replicas that take one request at a time hardly need the heap.
"""

from __future__ import annotations

from simulations.plant.codes import EVENT_KINDS, NEAR
from simulations.plant.records import State


def push(p: State, at: float, kind: int, who: int) -> None:
    """Something happens then. There is room: see `advance`."""
    world, near, what = p.world[0], p.near, who * EVENT_KINDS + kind
    tie = world.tie
    world.tie = tie + 1
    count = world.near
    if world.events > 0 and p.heap[0].at <= at:
        put_far(p, at, tie, what)
        return
    if count < NEAR:
        place = count
        world.near = count + 1
        while place > 0 and near[place - 1].at <= at:
            here, sooner = near[place], near[place - 1]
            here.at, here.tie, here.what = sooner.at, sooner.tie, sooner.what
            place -= 1
    else:
        last = near[0]
        if last.at <= at:
            put_far(p, at, tie, what)
            return
        put_far(p, last.at, last.tie, last.what)
        place = 0
        while place + 1 < NEAR and near[place + 1].at > at:
            here, later = near[place], near[place + 1]
            here.at, here.tie, here.what = later.at, later.tie, later.what
            place += 1
    new = near[place]
    new.at, new.tie, new.what = at, tie, what


def pop(p: State) -> int:
    """Take the first event out; returns its `what`."""
    world = p.world[0]
    count = world.near - 1
    world.near = count
    what = p.near[count].what
    if count == 0 and world.events > 0:
        count = min(NEAR // 2, world.events)
        world.near = count
        while count > 0:
            count -= 1
            bring_near(p, count)
    return what


def put_far(p: State, at: float, tie: int, what: int) -> None:
    """Into the heap."""
    world, heap = p.world[0], p.heap
    i = world.events
    world.events = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        above = heap[parent]
        if above.at < at or (above.at == at and above.tie < tie):
            break
        here = heap[i]
        here.at, here.tie, here.what = above.at, above.tie, above.what
        i = parent
    here = heap[i]
    here.at, here.tie, here.what = at, tie, what


def bring_near(p: State, place: int) -> None:
    """The first of the heap into this place of the line."""
    world, heap = p.world[0], p.heap
    first, here = heap[0], p.near[place]
    here.at, here.tie, here.what = first.at, first.tie, first.what
    size = world.events - 1
    world.events = size
    if size == 0:
        return
    last = heap[size]
    at, tie, what = last.at, last.tie, last.what
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        low = heap[child]
        if child + 1 < size:
            other = heap[child + 1]
            if other.at < low.at or (other.at == low.at and other.tie < low.tie):
                child += 1
                low = other
        if at < low.at or (at == low.at and tie < low.tie):
            break
        here = heap[i]
        here.at, here.tie, here.what = low.at, low.tie, low.what
        i = child
    here = heap[i]
    here.at, here.tie, here.what = at, tie, what
