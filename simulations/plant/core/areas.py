"""Areas: how much was in flight, waiting, wanted, ready, integrated over time. By the reading, by the bin, over all.

Each service is brought up to date only when something in it changes; an hour in which nothing does costs as much as a
second, apart from the bins and the readings of the ring that it fills.

Readings are those of the real thing. Replicas are scraped once a second and activators push once a second, each in a
part of the second of its own; what they tell is how much came together since the time before.
"""

from __future__ import annotations

import math

from simulations.plant.codes import INFINITE, NONE, READY
from simulations.plant.records import State

# While it starts, a replica is asked four times a second, and from the first time on that it is ready once.
_HALF_A_LOOK = 0.125


def touch_load(p: State, s: int, now: float) -> None:
    """Bring what depends on requests up to `now`. Call before any of it changes."""
    service = p.services[s]
    if now >= service.due:
        close(p, s, now)
    if now > service.load_at:
        pass_time(p, s, now)


def pass_time(p: State, s: int, until: float) -> None:
    """Nothing changes up to then, and nothing is told."""
    service = p.services[s]
    elapsed = until - service.load_at
    service.work_area += service.in_flight * elapsed
    service.queued_area += service.queued * elapsed
    held = service.held * elapsed
    service.held_area += held
    service.bin_held += held
    service.bin_demand += service.in_flight * elapsed + held
    service.busy_seconds += service.busy * elapsed
    service.ready_seconds += service.ready * elapsed
    service.load_at = until


def close(p: State, s: int, now: float) -> None:
    """Scrapes, pushes and bins that have ended by now, in which nothing has happened but in the first."""
    service = p.services[s]
    kept = math.floor(now) - p.world[0].ring - 1.0
    if service.load_at < kept:
        pass_silence(p, s, kept)
    while service.due <= now:
        pass_time(p, s, service.due)
        if service.second_end <= service.due:
            scrape(p, s)
        if service.push_end <= service.due:
            push_numbers(p, s)
        if service.bin_end <= service.due:
            next_bin(p, s)
        service.due = min(service.second_end, service.push_end, service.bin_end)


def pass_silence(p: State, s: int, until: float) -> None:
    """Nothing changes up to this whole second, and what could be told up to then nobody will ask for."""
    service = p.services[s]
    while service.bin_end <= until:
        pass_time(p, s, service.bin_end)
        next_bin(p, s)
    pass_time(p, s, until)
    service.second = int(until) - (1 if service.scrape_at > 0.0 else 0)
    service.carried = service.scrape_at
    service.second_end = service.second + 1.0 + service.scrape_at
    since = until - service.second - service.scrape_at
    service.work_area, service.queued_area = service.in_flight * since, service.queued * since
    service.push = int(until) - (1 if service.push_at > 0.0 else 0)
    service.push_end = service.push + 1.0 + service.push_at
    service.told_since = service.push + service.push_at
    service.held_area = service.held * (until - service.told_since)
    service.held_first = service.held_second = 0.0
    service.arrived_there = service.arrived_here = 0
    service.due = min(service.second_end, service.push_end, service.bin_end)


def next_bin(p: State, s: int) -> None:
    """The bin is over."""
    world, service = p.world[0], p.services[s]
    bin_ = p.bins[s * world.bins + service.bin]
    bin_.demand += service.bin_demand
    bin_.held += service.bin_held
    service.bin_demand = service.bin_held = 0.0
    service.bin += 1
    service.bin_end = INFINITE if service.bin == world.bins - 1 else (service.bin + 1) * world.bin_width


def scrape(p: State, s: int) -> None:
    """Replicas are asked, and what they tell is put into the ring."""
    service = p.services[s]
    row = p.seconds[s * p.world[0].ring + service.second % p.world[0].ring]
    row.second = service.second
    row.carried = service.carried
    row.work = service.work_area
    row.queued_area = service.queued_area
    row.arrived = service.arrived_there
    row.in_flight = service.in_flight
    row.queued = service.queued
    row.engine_running = service.engine_running
    row.engine_waiting = service.engine_waiting
    row.kv_cache_usage = kv_cache_usage(p, s, service.second_end) if service.batching else 0.0
    row.attempts = service.attempts
    row.done_attempts = service.done_attempts
    row.service_seconds = service.service_seconds
    row.input_tokens = service.input_tokens
    row.output_tokens = service.output_tokens
    row.busy_seconds = service.busy_seconds
    row.ready_seconds = service.ready_seconds
    service.work_area = service.queued_area = 0.0
    service.arrived_there = 0
    service.second += 1
    service.carried = service.scrape_at
    service.second_end = service.second + 1.0 + service.scrape_at


def push_numbers(p: State, s: int) -> None:
    """Activators tell, and it is put into the ring."""
    service = p.services[s]
    row = p.seconds[s * p.world[0].ring + service.push % p.world[0].ring]
    row.push = service.push
    first = share_of_first(service.push + 1.0, service.told_since, service.push_end)
    row.held = service.held
    row.forwarded = service.in_flight if service.in_path == 1 else 0
    row.held_first = service.held_first + service.held_area * first
    row.held_second = service.held_second + service.held_area * (1.0 - first)
    row.arrived_first = service.arrived_here * first
    row.arrived_second = service.arrived_here * (1.0 - first)
    service.held_area = service.held_first = service.held_second = 0.0
    service.arrived_here = 0
    service.told_since = service.push_end
    service.push += 1
    service.push_end = service.push + 1.0 + service.push_at


def push_at_once(p: State, s: int, now: float) -> None:
    """Activators tell because nothing is ready: who has come counts in the second that runs."""
    touch_load(p, s, now)
    service = p.services[s]
    first = share_of_first(service.push + 1.0, service.told_since, now)
    service.held_first += service.held_area * first
    service.held_second += service.held_area * (1.0 - first)
    service.held_area = 0.0
    if math.floor(service.pushed_at) != math.floor(now):
        count_with_others(p, s)
    service.told_since = service.pushed_at = now
    service.pushed_held = service.held
    service.pushed_arrived += service.arrived_here
    service.arrived_here = 0


def count_with_others(p: State, s: int) -> None:
    """Who came in a push at once that nobody has asked for counts as those do who came in a regular one."""
    service = p.services[s]
    second = math.floor(service.pushed_at)
    row = p.seconds[s * p.world[0].ring + second % p.world[0].ring]
    if row.push == second:
        row.arrived_first += service.pushed_arrived
    else:
        service.arrived_here += service.pushed_arrived
    service.pushed_arrived = 0


def share_of_first(end: float, since: float, until: float) -> float:
    """How much of a time belongs to the second that ends then, and not to the one after it."""
    if until <= end:
        return 1.0
    return 0.0 if since >= end else (end - since) / (until - since)


def scrape_from_now_on(p: State, s: int, now: float) -> None:
    """The first replica is ready, which says in which part of a second replicas are scraped (`readings.scrape`): nobody
    was before, so that there is nothing to tell of the time between."""
    service = p.services[s]
    if service.scraped_when_ready == 0 or service.in_flight > 0:
        return
    at = now + _HALF_A_LOOK
    service.scrape_at = at - math.floor(at)
    running = math.floor(now - service.scrape_at)
    if running > service.second:
        service.second_end = now
        scrape(p, s)
        service.carried = service.scrape_at
    elif running < service.second and running >= 0:
        row = p.seconds[s * p.world[0].ring + running % p.world[0].ring]
        service.work_area += row.work
        service.queued_area += row.queued_area
        service.arrived_there += row.arrived
        row.second = NONE
        service.second = running
        service.carried = 1.0  # what is done now is done in the second that runs
    service.second_end = service.second + 1.0 + service.scrape_at
    service.due = min(service.second_end, service.push_end, service.bin_end)


def kv_cache_usage(p: State, s: int, at: float) -> float:
    """Mean share of their cache that the engines of ready replicas use; of their slots, where its size is not known."""
    service = p.services[s]
    if service.ready == 0:
        return 0.0
    total = 0.0
    r = service.first_replica
    while r != NONE:
        replica = p.replicas[r]
        if replica.state == READY:
            if service.kv_tokens > 0:
                total += min(1.0, cached_tokens(p, r, at) / service.kv_tokens)
            else:
                total += replica.active / service.slots
        r = replica.next
    return total / service.ready


def cached_tokens(p: State, r: int, at: float) -> float:
    """Tokens in the cache of this replica: prompts, and what has been made of answers so far."""
    replica = p.replicas[r]
    return replica.prompt_tokens + replica.decoding * turns_by(p, r, at) - replica.joined_sum


def turns_by(p: State, r: int, at: float) -> float:
    """How many tokens each sequence that was always in the batch of this replica will have been given at `at`."""
    replica = p.replicas[r]
    if replica.first_reading != NONE or replica.decoding == 0:
        return replica.turns
    service = p.services[replica.service]
    return replica.turns + (at - replica.turns_at) / (service.alpha + service.beta * replica.decoding)


def touch_replicas(p: State, s: int, now: float) -> None:
    """Bring what depends on replicas up to `now`. Call before any of it changes."""
    world, service = p.world[0], p.services[s]
    after = service.replicas_at
    elapsed = now - after
    if elapsed <= 0.0:
        return
    service.starting_seconds += (service.starting + service.on_new_node) * elapsed
    service.draining_seconds += service.draining * elapsed
    service.failed_seconds += service.backing_off * elapsed
    coming = service.pending + service.starting + service.backing_off
    while after < now:
        i = bin_of(world.bin_width, world.bins, after)
        end = now if i == world.bins - 1 else min(now, (i + 1) * world.bin_width)
        bin_ = p.bins[s * world.bins + i]
        bin_.wanted += service.wanted * (end - after)
        bin_.starting += coming * (end - after)
        bin_.ready += service.ready * (end - after)
        bin_.draining += service.draining * (end - after)
        after = end
    service.replicas_at = now


def bin_of(width: float, bins: int, at: float) -> int:
    """The bin of a moment; the last one has all that is later."""
    return min(bins - 1, int(at / width))
