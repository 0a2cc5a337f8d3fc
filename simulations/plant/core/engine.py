"""Engines: fixed durations, or continuous batching as processor sharing in virtual time.

A batch of k sequences gives each a token every α + β·k seconds. Instead of following each sequence, a replica counts
`turns`, the tokens that a sequence which was always there has been given; one that joins at turn v and has n tokens to
make is finished at turn v + n. So an event costs O(log k), whatever else is in the batch. Prompts are read one after
the other, and while one is read nobody decodes.
"""

from __future__ import annotations

from simulations.plant.core.areas import turns_by
from simulations.plant.core.heap import push
from simulations.plant.records import DECODING, DONE, ENGINE, INFINITE, NONE, READING, RUNNING, WAITING, State


def enter_engine(p: State, i: int, r: int, now: float) -> None:
    """A request is forwarded to the model: it begins, or waits in the engine."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    request.forwarded_at = now
    if replica.backlog == 0 and has_slot(p, r, i):
        begin(p, i, r, now)
        return
    request.state = WAITING
    request.behind = NONE
    if replica.backlog == 0:
        replica.first_in_backlog = i
    else:
        p.requests[replica.last_in_backlog].behind = i
    replica.last_in_backlog = i
    replica.backlog += 1
    service.engine_waiting += 1


def has_slot(p: State, r: int, i: int) -> bool:
    """Whether the engine can begin with this request now. One that is larger than the cache is taken alone."""
    replica, request = p.replicas[r], p.requests[i]
    service = p.services[replica.service]
    if service.slots > 0 and replica.active >= service.slots:
        return False
    if service.kv_tokens == 0 or replica.active == 0:
        return True
    return replica.reserved + request.input_tokens + request.output_tokens <= service.kv_tokens


def begin(p: State, i: int, r: int, now: float) -> None:
    """The engine begins with it."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    request.began_at = now
    replica.active += 1
    service.engine_running += 1
    if service.batching == 0:
        request.state = RUNNING
        request.ends_at = now + request.seconds
        push(p, request.ends_at, DONE, i)
    else:
        begin_reading(p, i, r, now)


def begin_reading(p: State, i: int, r: int, now: float) -> None:
    """Its prompt is read, after those that came before."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    request.state = READING
    request.behind = NONE
    replica.reserved += request.input_tokens + request.output_tokens
    replica.prompt_tokens += request.input_tokens
    if replica.first_reading == NONE:
        replica.turns = turns_by(p, r, now)
        replica.turns_at = now
        replica.first_reading = i
        replica.read_at = now + service.prefill * request.input_tokens
    else:
        p.requests[replica.last_reading].behind = i
    replica.last_reading = i
    look_again(p, r)


def look_again(p: State, r: int) -> None:
    """See to it that an event is there when the engine has something to finish."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    if replica.first_reading != NONE:
        due = replica.read_at
    elif replica.decoding > 0:
        left = max(0.0, p.batches[r * p.world[0].batch].target - replica.turns)
        due = replica.turns_at + left * (service.alpha + service.beta * replica.decoding)
    else:
        due = INFINITE
    replica.due_at = due
    if due < replica.scheduled_at:
        replica.scheduled_at = due
        push(p, due, ENGINE, r)


def engine_event(p: State, r: int, now: float) -> int:
    """What the engine does now. Returns the request that it has finished, NONE when none is.

    An event may be there that was made for something else; then there is nothing to do.
    """
    replica = p.replicas[r]
    if now != replica.scheduled_at:
        return NONE
    replica.scheduled_at = INFINITE
    if replica.due_at > now:
        look_again(p, r)
        return NONE
    if replica.first_reading == NONE:
        i = p.batches[r * p.world[0].batch].request
        replica.turns = p.batches[r * p.world[0].batch].target
        replica.turns_at = now
        return i
    i = replica.first_reading
    finish_reading(p, r, now)
    if p.requests[i].output_tokens <= 1:
        return i
    look_again(p, r)
    return NONE


def finish_reading(p: State, r: int, now: float) -> None:
    """A prompt is read, which makes the first token; its sequence joins the batch for the others."""
    replica = p.replicas[r]
    i = replica.first_reading
    request = p.requests[i]
    request.first_token_at = now
    next_reading(p, r, now)
    request.state = DECODING
    request.joined_at = replica.turns
    replica.joined_sum += replica.turns
    join_batch(p, r, i, replica.turns + max(0, request.output_tokens - 1))


def next_reading(p: State, r: int, now: float) -> None:
    """The first prompt is done with; the next one is read."""
    replica = p.replicas[r]
    replica.first_reading = p.requests[replica.first_reading].behind
    replica.turns_at = now
    if replica.first_reading == NONE:
        replica.last_reading = NONE
    else:
        prefill = p.services[replica.service].prefill
        replica.read_at = now + prefill * p.requests[replica.first_reading].input_tokens


def leave_engine(p: State, i: int, r: int, now: float) -> None:
    """A request that the engine works on leaves it, finished or not."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    replica.active -= 1
    service.engine_running -= 1
    request.ends_at = INFINITE
    if service.batching == 0:
        return
    replica.reserved -= request.input_tokens + request.output_tokens
    replica.prompt_tokens -= request.input_tokens
    if request.state == READING:
        leave_reading(p, i, r, now)
    else:
        replica.turns = turns_by(p, r, now)
        replica.turns_at = now
        replica.joined_sum -= request.joined_at
        leave_batch(p, r, i)
        if replica.decoding == 0:
            replica.joined_sum = replica.turns = 0.0  # nothing refers to it: no error grows over a long run
    look_again(p, r)


def leave_reading(p: State, i: int, r: int, now: float) -> None:
    """A prompt is not to be read after all."""
    replica = p.replicas[r]
    if replica.first_reading == i:
        next_reading(p, r, now)
        return
    before = replica.first_reading
    while p.requests[before].behind != i:
        before = p.requests[before].behind
    p.requests[before].behind = p.requests[i].behind
    if replica.last_reading == i:
        replica.last_reading = before


def join_batch(p: State, r: int, i: int, target: float) -> None:
    """Into the heap of the batch, first who is finished first."""
    replica, base = p.replicas[r], r * p.world[0].batch
    at = replica.decoding
    replica.decoding += 1
    rise(p, base, at, target, i)


def leave_batch(p: State, r: int, i: int) -> None:
    """Out of the heap of the batch; usually the first of it."""
    replica, base = p.replicas[r], r * p.world[0].batch
    at = 0
    while p.batches[base + at].request != i:
        at += 1
    size = replica.decoding - 1
    replica.decoding = size
    if at == size:
        return
    target, who = p.batches[base + size].target, p.batches[base + size].request
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and p.batches[base + child + 1].target < p.batches[base + child].target:
            child += 1
        if target <= p.batches[base + child].target:
            break
        p.batches[base + at].target = p.batches[base + child].target
        p.batches[base + at].request = p.batches[base + child].request
        at = child
    rise(p, base, at, target, who)


def rise(p: State, base: int, at: int, target: float, who: int) -> None:
    """From the empty place `at` up to where it belongs."""
    while at > 0:
        parent = (at - 1) >> 1
        if p.batches[base + parent].target <= target:
            break
        p.batches[base + at].target = p.batches[base + parent].target
        p.batches[base + at].request = p.batches[base + parent].request
        at = parent
    p.batches[base + at].target = target
    p.batches[base + at].request = who
