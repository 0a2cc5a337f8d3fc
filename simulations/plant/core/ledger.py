"""The ledger: what is written down of an attempt that has ended, and of a request whose last attempt that was.

An engine may go on with an attempt that its client has given up. What it works on then is nobody's: it has been written
down already, and when it is over its place is free.
"""

from __future__ import annotations

from simulations.plant.codes import (
    AWAY,
    BUCKETS,
    COMPLETED,
    CUT,
    HISTOGRAMS,
    INFINITE,
    NONE,
    REFUSED_FULL,
    REFUSED_NO_ENDPOINT,
    RETRY,
    TIMED_OUT,
    WINDOW_LEAST,
    WINDOW_SECONDS,
)
from simulations.plant.core.areas import bin_of
from simulations.plant.core.draws import bucket, counted, share
from simulations.plant.core.events import push
from simulations.plant.core.refusals import retry_after
from simulations.plant.records import State


def end_attempt(p: State, i: int, outcome: int, now: float) -> None:
    """An attempt has ended; it is in no line and no replica any more."""
    leave_clients(p, i)
    if p.requests[i].abandoned == 1:
        free_record(p, i)
    else:
        conclude(p, i, outcome, now)


def conclude(p: State, i: int, outcome: int, now: float) -> None:
    """Its client is content, sends again, or goes."""
    request = p.requests[i]
    service = p.services[request.service]
    if outcome != COMPLETED and request.attempt < service.retries:
        request.attempt += 1
        if service.heeds_retry_after == 1 and outcome in (REFUSED_FULL, REFUSED_NO_ENDPOINT):
            pause = retry_after(p, i, now)
        else:
            pause = backoff(p, i)
        request.state = AWAY
        push(p, now + pause, RETRY, i)
        return
    end_request(p, i, outcome, now)


def backoff(p: State, i: int) -> float:
    """What a client waits before this attempt of its own accord: longer each time, and scattered."""
    request = p.requests[i]
    pause = p.services[request.service].backoff
    for _ in range(request.attempt - 1):
        pause *= 2.0
    return pause * (0.5 + share(counted(p.world[0].seed, request.number, request.attempt, 102)))


def abandon(p: State, i: int, now: float) -> None:
    """The client gives an attempt up and the engine goes on with it. The client goes on, or ends, as another record, so
    there has to be room for one."""
    world, request = p.world[0], p.requests[i]
    service = p.services[request.service]
    leave_clients(p, i)
    request.abandoned = 1
    request.older, request.newer = NONE, service.first_abandoned
    if request.newer != NONE:
        p.requests[request.newer].older = i
    service.first_abandoned = i
    client = world.free_request
    gone = p.requests[client]
    world.free_request = gone.behind
    world.requests_used += 1
    gone.service, gone.number, gone.attempt, gone.cold = request.service, request.number, request.attempt, request.cold
    gone.seconds, gone.input_tokens, gone.output_tokens = request.seconds, request.input_tokens, request.output_tokens
    gone.first_at, gone.abandoned, gone.ends_at = request.first_at, 0, INFINITE
    conclude(p, client, TIMED_OUT, now)


def leave_clients(p: State, i: int) -> None:
    """Out of the line of those whose clients wait, or of those that nobody waits for."""
    request = p.requests[i]
    service = p.services[request.service]
    if request.older != NONE:
        p.requests[request.older].newer = request.newer
    elif request.abandoned == 1:
        service.first_abandoned = request.newer
    else:
        service.oldest = request.newer
    if request.newer != NONE:
        p.requests[request.newer].older = request.older
    elif request.abandoned == 0:
        service.newest = request.older


def free_record(p: State, i: int) -> None:
    """Its place is another's to take."""
    world, request = p.world[0], p.requests[i]
    request.service = NONE
    request.behind = world.free_request
    world.free_request = i
    world.requests_used -= 1


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
    free_record(p, i)


def completed(p: State, i: int, now: float) -> int:
    """Count a whole answer; returns 1 when it came within the objective."""
    request = p.requests[i]
    s = request.service
    service = p.services[s]
    latency = now - request.first_at
    first_token = latency
    base = (s * HISTOGRAMS + request.cold) * BUCKETS
    if request.number < p.world[0].latencies_kept:
        p.latencies[request.number] = latency
    p.histograms[base + bucket(latency)] += 1
    if service.batching == 1:
        first_token = request.first_token_at - request.first_at
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
