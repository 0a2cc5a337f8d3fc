"""What a controller is told, copied out of the records into plain numbers; and replicas that were there before."""

from __future__ import annotations

from collections.abc import MutableSequence

from simulations.plant.codes import NONE, WARMING
from simulations.plant.core.areas import touch_load, touch_replicas
from simulations.plant.core.life import begin_replica
from simulations.plant.core.nodes import place
from simulations.plant.core.refusals import expect_wake
from simulations.plant.core.start import be_ready
from simulations.plant.records import State

# How many numbers come before the samples, of which each has four.
HEAD = 26


def tell(p: State, s: int, after: int, heard: int, out: MutableSequence[float]) -> int:
    """Write what is known of the service from the scrape at second `heard`, the cluster's view of now, and the seconds
    from `after` up to below `heard` that are still kept. Returns how many seconds that are."""
    world, service = p.world[0], p.services[s]
    touch_load(p, s, world.now)
    touch_replicas(p, s, world.now)
    base = s * world.ring
    row = p.seconds[base + (heard - 1) % world.ring]
    if heard > 0 and row.second == heard - 1:
        out[0], out[1], out[2] = row.in_flight, row.held, row.queued
        out[3], out[4], out[5] = row.engine_running, row.engine_waiting, row.kv_cache_usage
        out[6], out[7], out[8] = row.attempts, row.done_attempts, row.service_seconds
        out[9], out[10] = row.input_tokens, row.output_tokens
        out[11], out[12] = row.busy_seconds, row.ready_seconds
    else:
        for k in range(13):
            out[k] = 0.0
    out[13], out[14], out[15] = service.wanted, service.ready, service.starting
    out[16], out[17], out[18] = service.pending, service.draining, service.backing_off
    out[19], out[20], out[21] = service.in_path, service.ever_ready, service.expected_wake
    out[22], out[23], out[24], out[25] = service.held, service.second_arrived, service.second, service.changed_at
    count = 0
    for second in range(max(after, heard - world.ring), heard):
        row = p.seconds[base + second % world.ring]
        if row.second == second:
            k = HEAD + 4 * count
            out[k], out[k + 1], out[k + 2], out[k + 3] = second, row.load, row.arrived, row.waiting
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
