"""The ledger: what is written down of an attempt that has ended, and of a request whose last attempt that was."""

from __future__ import annotations

from simulations.plant.codes import (
    AWAY,
    BUCKETS,
    COMPLETED,
    CUT,
    HISTOGRAMS,
    NONE,
    REFUSED_FULL,
    REFUSED_NO_ENDPOINT,
    RETRY,
    TIMED_OUT,
    WINDOW_LEAST,
    WINDOW_SECONDS,
)
from simulations.plant.core.areas import bin_of
from simulations.plant.core.heap import bucket, counted, push, share
from simulations.plant.records import State


def end_attempt(p: State, i: int, outcome: int, now: float) -> None:
    """An attempt has ended; its client is content, sends again, or goes. It is in no line and no replica any more."""
    request = p.requests[i]
    service = p.services[request.service]
    if request.older == NONE:
        service.oldest = request.newer
    else:
        p.requests[request.older].newer = request.newer
    if request.newer == NONE:
        service.newest = request.older
    else:
        p.requests[request.newer].older = request.older
    if outcome != COMPLETED and request.attempt < service.retries:
        pause = service.backoff
        for _ in range(request.attempt):
            pause *= 2.0
        request.attempt += 1
        scatter = 0.5 + share(counted(p.world[0].seed, request.number, request.attempt, 102))
        request.state = AWAY
        push(p, now + pause * scatter, RETRY, i)
        return
    end_request(p, i, outcome, now)


def end_request(p: State, i: int, outcome: int, now: float) -> None:
    """Count it, and give its place to another."""
    world, request = p.world[0], p.requests[i]
    s = request.service
    service = p.services[s]
    good = 0
    service.cold += request.cold
    if outcome == COMPLETED:
        service.completed += 1
        good = completed(p, i, now)
    elif outcome == REFUSED_NO_ENDPOINT:
        service.refused_no_endpoint += 1
    elif outcome == REFUSED_FULL:
        service.refused_full += 1
    elif outcome == TIMED_OUT:
        service.timed_out += 1
    elif outcome == CUT:
        service.cut += 1
    bin_ = p.bins[s * world.bins + bin_of(world.bin_width, world.bins, now)]
    bin_.ended += 1
    bin_.missed += 1 - good
    count_in_window(p, s, good, now)
    request.service = NONE
    request.behind = world.free_request
    world.free_request = i
    world.requests_used -= 1


def completed(p: State, i: int, now: float) -> int:
    """Count a whole answer; returns 1 when it came within the objective."""
    request = p.requests[i]
    s = request.service
    service = p.services[s]
    latency = now - request.first_at
    first_token = latency if service.batching == 0 else request.first_token_at - request.first_at
    base = (s * HISTOGRAMS + request.cold) * BUCKETS
    if request.number < p.world[0].latencies_kept:
        p.latencies[request.number] = latency
    p.histograms[base + bucket(latency)] += 1
    p.histograms[base + 2 * BUCKETS + bucket(first_token)] += 1
    service.latency_sum += latency
    service.latency_squares += latency * latency
    service.wait_seconds += request.began_at - request.first_at
    service.input_tokens += request.input_tokens
    service.output_tokens += request.output_tokens
    good = 1 if latency <= service.good_latency and first_token <= service.good_ttft else 0
    service.good += good
    return good


def count_in_window(p: State, s: int, good: int, now: float) -> None:
    """Five minutes are judged when the next ones begin; too few requests say nothing."""
    world, service = p.world[0], p.services[s]
    window = int(now / WINDOW_SECONDS)
    if window != service.window:
        if service.window_ended >= WINDOW_LEAST:
            service.worst_window = min(service.worst_window, service.window_good / service.window_ended)
        service.window = window
        service.window_ended = service.window_good = 0
    service.window_ended += 1
    service.window_good += good
    if window != world.window:
        if world.window_ended >= WINDOW_LEAST:
            world.worst_window = min(world.worst_window, world.window_good / world.window_ended)
        world.window = window
        world.window_ended = world.window_good = 0
    world.window_ended += 1
    world.window_good += good
