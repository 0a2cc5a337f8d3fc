"""Areas: how much was in flight, waiting, wanted, ready, integrated over time. By the second, by the bin, over all.

Each service is brought up to date only when something in it changes; an hour in which nothing does costs as much as a
second, apart from the bins and the seconds of the ring that it fills.
"""

from __future__ import annotations

from simulations.plant.codes import NONE, READY
from simulations.plant.records import State


def touch_load(p: State, s: int, now: float) -> None:
    """Bring what depends on requests up to `now`. Call before any of it changes."""
    service = p.services[s]
    if now >= service.second_end:
        close_seconds(p, s, now)
    elapsed = now - service.load_at
    if elapsed > 0.0:
        service.load_area += (service.in_flight + service.held) * elapsed
        service.waiting_area += (service.queued + service.held) * elapsed
        service.held_area += service.held * elapsed
        service.busy_seconds += service.busy * elapsed
        service.ready_seconds += service.ready * elapsed
        service.load_at = now


def close_seconds(p: State, s: int, now: float) -> None:
    """The running second is over, and perhaps many after it in which nothing happened."""
    world, service = p.world[0], p.services[s]
    rest = service.second_end - service.load_at
    load, waiting, held = service.in_flight + service.held, service.queued + service.held, service.held
    service.load_area += load * rest
    service.waiting_area += waiting * rest
    service.held_area += held * rest
    service.busy_seconds += service.busy * rest
    service.ready_seconds += service.ready * rest
    remember(p, s, service.second, service.load_area, service.waiting_area, service.second_arrived)
    first_bin = s * world.bins
    bin_ = p.bins[first_bin + bin_of(world.bin_width, world.bins, service.second + 0.5)]
    bin_.demand += service.load_area
    bin_.held += service.held_area
    whole = int(now)
    silent = whole - service.second - 1
    if silent > 0:
        begin = service.second + 1
        after = begin
        while after < whole:
            i = bin_of(world.bin_width, world.bins, after + 0.5)
            end = whole if i == world.bins - 1 else min(whole, int((i + 1) * world.bin_width))
            end = max(end, after + 1)
            bin_ = p.bins[first_bin + i]
            bin_.demand += load * (end - after)
            bin_.held += held * (end - after)
            after = end
        from_second = max(begin, whole - world.ring)
        before = float(from_second - begin)
        service.busy_seconds += service.busy * before
        service.ready_seconds += service.ready * before
        for second in range(from_second, whole):
            service.busy_seconds += service.busy
            service.ready_seconds += service.ready
            remember(p, s, second, float(load), float(waiting), 0)
    service.load_area = service.waiting_area = service.held_area = 0.0
    service.second_arrived = 0
    service.second = whole
    service.second_end = whole + 1.0
    service.load_at = float(whole)


def remember(p: State, s: int, second: int, load: float, waiting: float, arrived: int) -> None:
    """Put a whole second into the ring."""
    service = p.services[s]
    row = p.seconds[s * p.world[0].ring + second % p.world[0].ring]
    row.second = second
    row.load = load
    row.waiting = waiting
    row.arrived = arrived
    row.in_flight = service.in_flight
    row.held = service.held
    row.queued = service.queued
    row.engine_running = service.engine_running
    row.engine_waiting = service.engine_waiting
    row.kv_cache_usage = kv_cache_usage(p, s, second + 1.0) if service.batching else 0.0
    row.attempts = service.attempts
    row.done_attempts = service.done_attempts
    row.service_seconds = service.service_seconds
    row.input_tokens = service.input_tokens
    row.output_tokens = service.output_tokens
    row.busy_seconds = service.busy_seconds
    row.ready_seconds = service.ready_seconds


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
