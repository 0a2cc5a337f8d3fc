"""What a controller is told, copied out of the records into plain numbers; and replicas that were there before."""

from __future__ import annotations

import math

from simulations.plant.codes import NONE, WARMING
from simulations.plant.core.areas import count_with_others, touch_load, touch_replicas
from simulations.plant.core.life import begin_replica
from simulations.plant.core.nodes import place
from simulations.plant.core.refusals import expect_wake
from simulations.plant.core.start import be_ready
from simulations.plant.records import State


def tell(p: State, s: int, after_work: int, after_held: int, heard: float, urgent: int) -> int:
    """Write into `told` what is known of the service from scrapes and pushes up to the moment `heard`, and the
    cluster's view of now; and into `told_seconds` the seconds of which something is told that was not before, replicas'
    from `after_work` on and activators' from `after_held` on. Returns how many seconds that are."""
    world, service, told = p.world[0], p.services[s], p.told[0]
    touch_load(p, s, world.now)
    touch_replicas(p, s, world.now)
    scrapes = min(service.second, math.floor(heard - service.scrape_at))
    pushes = min(service.push, math.floor(heard - service.push_at))
    tell_scrape(p, s, scrapes)
    tell_push(p, s, pushes, heard, urgent)
    tell_replicas(p, s)
    # What is told is still so, and what will be told of seconds that have begun will be the same.
    unchanged_since = min(
        scrapes + service.scrape_at - (1.0 if service.scrape_at > 0.0 else 0.0),
        pushes + service.push_at - (1.0 if service.push_at > 0.0 else 0.0),
    )
    told.settled = 1 if service.changed_at < unchanged_since else 0
    # A second is told of once all have told of it (`autoscaler.signals.collector`).
    told.work_until = min(scrapes, pushes)
    told.held_until = told.work_until if service.ready + service.in_flight > 0 else pushes
    return tell_seconds(p, s, after_work, after_held)


def tell_scrape(p: State, s: int, scrapes: int) -> None:
    """What was true of the replicas at the scrape before which there were so many."""
    world, service, told = p.world[0], p.services[s], p.told[0]
    told.scrape = scrapes
    told.scraped_at = max(0.0, scrapes + service.scrape_at) if scrapes > 0 else 0.0
    row = p.seconds[s * world.ring + (scrapes - 1) % world.ring]
    if scrapes > 0 and row.second == scrapes - 1:
        told.in_flight, told.queued = row.in_flight * 1.0, row.queued * 1.0
        told.engine_running, told.engine_waiting = row.engine_running * 1.0, row.engine_waiting * 1.0
        told.kv_cache_usage = row.kv_cache_usage
        told.attempts, told.done_attempts = row.attempts, row.done_attempts
        told.service_seconds = row.service_seconds
        told.input_tokens, told.output_tokens = row.input_tokens, row.output_tokens
        told.busy_seconds, told.ready_seconds = row.busy_seconds, row.ready_seconds
        return
    told.in_flight = told.queued = told.engine_running = told.engine_waiting = 0.0
    told.kv_cache_usage = told.service_seconds = told.busy_seconds = told.ready_seconds = 0.0
    told.attempts = told.done_attempts = told.input_tokens = told.output_tokens = 0


def tell_push(p: State, s: int, pushes: int, heard: float, urgent: int) -> None:
    """What activators told last; and when somebody waits for the first replica they tell at once, however old the rest
    is by now."""
    world, service, told = p.world[0], p.services[s], p.told[0]
    told.pushed_at = max(0.0, pushes + service.push_at) if pushes > 0 else 0.0
    told.held = told.forwarded = 0.0
    row = p.seconds[s * world.ring + (pushes - 1) % world.ring]
    if pushes > 0 and row.push == pushes - 1:
        told.held, told.forwarded = row.held * 1.0, row.forwarded * 1.0
    told.urgent_second = NONE
    if urgent == 1 and service.ready == 0:
        told.urgent_second = math.floor(service.pushed_at)
        told.urgent_held, told.urgent_arrived = service.pushed_held * 1.0, service.pushed_arrived * 1.0
        service.pushed_arrived = 0
    elif service.pushed_arrived != 0:
        count_with_others(p, s)
    if service.pushed_at > told.pushed_at and (service.pushed_at <= heard or told.urgent_second != NONE):
        told.held, told.pushed_at = service.pushed_held * 1.0, service.pushed_at


def tell_replicas(p: State, s: int) -> None:
    """The cluster's view of now."""
    service, told = p.services[s], p.told[0]
    told.wanted, told.ready, told.starting = service.wanted, service.ready, service.starting
    told.pending, told.draining, told.backing_off = service.pending, service.draining, service.backing_off
    told.in_path, told.ever_ready, told.expected_wake = service.in_path, service.ever_ready, service.expected_wake


def tell_seconds(p: State, s: int, after_work: int, after_held: int) -> int:
    """Whole seconds: what came together between two scrapes, or pushes, is shared out evenly over the time between.
    Of a silence only its first and its last one, as sources tell of theirs (`queue_proxy.measurement`)."""
    world, told = p.world[0], p.told[0]
    base, count, silent = s * world.ring, 0, 0
    end = max(told.work_until, told.held_until)
    for second in range(max(min(after_work, after_held), end - world.ring + 1), end):
        row = p.seconds[base + second % world.ring]
        before = p.seconds[base + (second - 1) % world.ring]
        work = queued = held = arrived = 0.0
        if after_work <= second and second < told.work_until:
            if row.second == second:
                part = 1.0 - row.carried
                work, queued, arrived = row.work * part, row.queued_area * part, row.arrived * part
            if before.second == second - 1 and before.carried > 0.0:
                work += before.work * before.carried
                queued += before.queued_area * before.carried
                arrived += before.arrived * before.carried
        if after_held <= second and second < told.held_until:
            if row.push == second:
                held = row.held_first
                arrived += row.arrived_first
            if before.push == second - 1:
                held += before.held_second
                arrived += before.arrived_second
        if work + held + queued == 0.0 and arrived == 0.0 and world.tells_silence == 0:
            silent += 1
            if silent > 2:
                p.told_seconds[count - 1].second = second
                continue
        else:
            silent = 0
        out = p.told_seconds[count]
        out.second, out.load, out.arrived, out.waiting = second, work + held, arrived, queued + held
        count += 1
    return count


def have_ready(p: State, s: int, count: int) -> None:
    """So many replicas are ready from the beginning, as far as nodes have room; the others start."""
    world, service = p.world[0], p.services[s]
    service.wanted = count
    for _ in range(count):
        r = world.free_replica
        begin_replica(p, s, world.now)
        if not place(p, r, world.now):
            continue
        service.pending -= 1
        service.starting += 1
        p.replicas[r].state = WARMING
        p.replicas[r].life_at = -1.0
        be_ready(p, r, world.now)
        service.starts -= 1
        expect_wake(p, s)
    world.pump = NONE
