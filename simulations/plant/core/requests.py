"""Requests: from the client through the hold and a replica to their end, as activator and queue proxy do it.

First come, first served. A request goes to the ready replica with most room, as long as the limit leaves any; without
a limit the whole hold goes to whoever is ready first. While the activator is out of the path, connections spread at
random and wait in the queue proxies.
"""

from __future__ import annotations

from simulations.plant.codes import (
    COMPLETED,
    DRAINING,
    HELD,
    INFINITE,
    LIFE,
    LINE,
    NONE,
    QUEUED,
    READY,
    REFUSED_FULL,
    REFUSED_NO_ENDPOINT,
    TELLS_ARRIVALS,
    TIMED_OUT,
    WAITING,
)
from simulations.plant.core.areas import bin_of, touch_load
from simulations.plant.core.draws import counted
from simulations.plant.core.engine import begin, enter_engine, has_slot, leave_engine
from simulations.plant.core.events import push
from simulations.plant.core.hold import changed, held_until, hold, set_alarm, unhold
from simulations.plant.core.ledger import abandon, end_attempt
from simulations.plant.core.ready import most_room, one_less, one_more
from simulations.plant.core.refusals import count_gap
from simulations.plant.records import State


def come(p: State, now: float) -> None:
    """The next request of the trace arrives."""
    world = p.world[0]
    row = p.rows[world.cursor]
    world.cursor += 1
    i = world.free_request
    request = p.requests[i]
    world.free_request = request.behind
    world.requests_used += 1
    request.service = row.service
    request.number = world.numbers
    world.numbers += 1
    request.attempt = 0
    request.cold = request.abandoned = 0
    request.first_at = now
    request.first_token_at = 0.0
    request.began_at = now
    request.ends_at = INFINITE
    request.seconds = row.seconds
    request.input_tokens, request.output_tokens = row.input_tokens, row.output_tokens
    p.services[row.service].requests += 1
    p.bins[row.service * world.bins + bin_of(world.bin_width, world.bins, now)].arrived += 1
    attempt(p, i, now)


def attempt(p: State, i: int, now: float) -> None:
    """A client sends, for the first time or again."""
    request = p.requests[i]
    s = request.service
    service = p.services[s]
    touch_load(p, s, now)
    service.attempts += 1
    if service.tells == TELLS_ARRIVALS:
        p.world[0].told = s
    changed(p, s, now)
    request.sent_at = now
    request.kept_tokens = 0
    request.replica = NONE
    request.older, request.newer = service.newest, NONE
    if service.newest == NONE:
        service.oldest = i
    else:
        p.requests[service.newest].newer = i
    service.newest = i
    direct = service.in_path == 0 and service.ready > 0
    r = NONE
    if direct:
        r = any_ready(p, s, i)
        replica = p.replicas[r]
        full = service.limit > 0 and replica.in_flight - replica.line >= service.limit
        if full and 0 < service.queue_requests <= replica.line:
            service.arrived_there += 1
            end_attempt(p, i, REFUSED_FULL, now)
            return
    elif service.held == 0:
        r = most_room(p, s)
    if r != NONE:
        deliver(p, i, r, now)
    elif service.held >= service.hold_requests:
        service.arrived_here += 1
        end_attempt(p, i, REFUSED_FULL if service.ready > 0 else REFUSED_NO_ENDPOINT, now)
        return
    else:
        hold(p, i)
    if service.alarm_at == INFINITE:
        set_alarm(p, s)


def any_ready(p: State, s: int, i: int) -> int:
    """A ready replica at random, as connections are balanced without an activator."""
    service, request = p.services[s], p.requests[i]
    left = counted(p.world[0].seed, request.number, request.attempt, 101) % service.ready
    r = service.first_replica
    while True:
        if p.replicas[r].state == READY:
            if left == 0:
                return r
            left -= 1
        r = p.replicas[r].next


def pump(p: State, s: int, now: float) -> None:
    """Hand out what can be handed out."""
    service = p.services[s]
    while service.held > 0:
        r = most_room(p, s)
        if r == NONE:
            return
        touch_load(p, s, now)
        i = unhold(p, s)
        count_gap(p, s, now)
        deliver(p, i, r, now)


def deliver(p: State, i: int, r: int, now: float) -> None:
    """It reaches a replica's queue proxy, which lets it in or lets it wait."""
    request, replica = p.requests[i], p.replicas[r]
    s = request.service
    service = p.services[s]
    request.replica = r
    service.in_flight += 1
    service.arrived_there += 1
    replica.in_flight += 1
    if replica.in_flight == 1:
        service.busy += 1
    one_more(p, s, r)
    if service.limit > 0 and replica.in_flight - replica.line > service.limit:
        request.state = QUEUED
        request.queued_at = now
        request.behind = NONE
        if replica.line == 0:
            replica.first_in_line = i
        else:
            p.requests[replica.last_in_line].behind = i
        replica.last_in_line = i
        replica.line += 1
        service.queued += 1
        look_at_line(p, r)
    else:
        enter_engine(p, i, r, now)


def release(p: State, i: int, now: float) -> None:
    """A request leaves its replica, finished or not, and makes room there."""
    request = p.requests[i]
    s, r = request.service, request.replica
    service, replica = p.services[s], p.replicas[r]
    touch_load(p, s, now)
    changed(p, s, now)
    if request.state == QUEUED:
        replica.first_in_line, replica.last_in_line = without(p, i, replica.first_in_line, replica.last_in_line)
        replica.line -= 1
        service.queued -= 1
    elif request.state == WAITING:
        replica.first_in_backlog, replica.last_in_backlog = without(
            p, i, replica.first_in_backlog, replica.last_in_backlog
        )
        replica.backlog -= 1
        service.engine_waiting -= 1
    else:
        leave_engine(p, i, r, now)
    service.in_flight -= 1
    replica.in_flight -= 1
    if replica.state == READY:
        if replica.in_flight == 0:
            service.busy -= 1
        one_less(p, s, r)
    if replica.line > 0 or replica.backlog > 0:
        admit(p, r, now)
    if replica.state == DRAINING and replica.in_flight == 0:
        replica.life_at = now
        push(p, now, LIFE, r)
    p.world[0].pump = s


def admit(p: State, r: int, now: float) -> None:
    """Let in who can be let in: into the model by the queue proxy, then into the batch by the engine."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    while replica.line > 0 and (service.limit == 0 or replica.in_flight - replica.line < service.limit):
        i = replica.first_in_line
        replica.first_in_line = p.requests[i].behind
        replica.line -= 1
        service.queued -= 1
        enter_engine(p, i, r, now)
    while replica.backlog > 0 and has_slot(p, r, replica.first_in_backlog, now):
        i = replica.first_in_backlog
        replica.first_in_backlog = p.requests[i].behind
        replica.backlog -= 1
        service.engine_waiting -= 1
        begin(p, i, r, now)


def look_at_line(p: State, r: int) -> None:
    """See to it that an event is there when the first in line has waited too long."""
    replica = p.replicas[r]
    allowed = p.services[replica.service].queue_seconds
    if allowed > 0.0 and replica.line > 0 and replica.line_at == INFINITE:
        replica.line_at = p.requests[replica.first_in_line].queued_at + allowed
        push(p, replica.line_at, LINE, r)


def line_event(p: State, r: int, now: float) -> None:
    """Who has waited too long in the line of a queue proxy is refused."""
    replica = p.replicas[r]
    if now != replica.line_at:
        return
    replica.line_at = INFINITE
    allowed = p.services[replica.service].queue_seconds
    while replica.line > 0 and p.requests[replica.first_in_line].queued_at + allowed <= now:
        i = replica.first_in_line
        release(p, i, now)
        end_attempt(p, i, REFUSED_FULL, now)
    look_at_line(p, r)


def without(p: State, i: int, first: int, last: int) -> tuple[int, int]:
    """A line without i: its new first and last. Nearly always i is the first, since the oldest gives up first."""
    after = p.requests[i].behind
    if first == i:
        return after, (NONE if after == NONE else last)
    before = first
    while p.requests[before].behind != i:
        before = p.requests[before].behind
    p.requests[before].behind = after
    return first, (before if last == i else last)


def complete(p: State, i: int, now: float) -> None:
    """A whole answer."""
    request = p.requests[i]
    release(p, i, now)
    if request.abandoned == 0:
        service = p.services[request.service]
        service.done_attempts += 1
        service.service_seconds += now - request.forwarded_at
    end_attempt(p, i, COMPLETED, now)


def alarm(p: State, s: int, now: float) -> None:
    """Who has waited too long is refused, or gives up."""
    service = p.services[s]
    if now != service.alarm_at:
        return
    service.alarm_at = INFINITE
    touch_load(p, s, now)
    while service.timeout > 0.0 and service.oldest != NONE:
        i = service.oldest
        if p.requests[i].sent_at + service.timeout > now:
            break
        if p.requests[i].state == HELD:
            unhold(p, s)
            changed(p, s, now)
        elif service.aborts == 1 or p.requests[i].state == QUEUED:
            release(p, i, now)
        else:
            changed(p, s, now)
            abandon(p, i, now)
            break  # that took a record, and for room is looked between events: the next one has an event of its own
        end_attempt(p, i, TIMED_OUT, now)
    while service.held > 0 and held_until(p, s, service.first_held) <= now:
        i = unhold(p, s)
        service.arrived_here += 1  # it leaves as one that was refused
        changed(p, s, now)
        end_attempt(p, i, REFUSED_FULL if service.ready > 0 else REFUSED_NO_ENDPOINT, now)
    set_alarm(p, s)
