"""Engines: fixed durations, or continuous batching as processor sharing in virtual time.

A batch of k sequences gives each a token every α + β·k seconds. Instead of following each sequence, a replica counts
`turns`, the tokens that a sequence which was always there has been given; one that joins at turn v and has n tokens to
make is finished at turn v + n. So an event costs O(log k), whatever else is in the batch. Prompts are read one after
the other, and while one is read nobody decodes.

A cache of tokens that is bounded is used as vLLM does it: a sequence is taken in when its prompt fits beside what is
there now, since nobody knows how long its answer will be; when the cache is full, the one that joined last is put back
to the front of the backlog, and later reads its prompt and what it had made anew (preemption by recomputation).
"""

from __future__ import annotations

from simulations.plant.codes import CACHE_SHARE, DECODING, DONE, ENGINE, INFINITE, NONE, READING, RUNNING, WAITING
from simulations.plant.core.areas import cached_tokens, turns_by
from simulations.plant.core.events import push
from simulations.plant.records import State


def enter_engine(p: State, i: int, r: int, now: float) -> None:
    """A request is forwarded to the model: it begins, or waits in the engine."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    request.forwarded_at = now
    if replica.backlog == 0 and has_slot(p, r, i, now):
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


def has_slot(p: State, r: int, i: int, now: float) -> bool:
    """Whether the engine can begin with this request now; with one hundredth of the cache left over for those that are
    there to grow. One that is larger than the cache is taken alone."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    if service.slots > 0 and replica.active >= service.slots:
        return False
    if service.kv_tokens == 0 or replica.active == 0:
        return True
    return cached_tokens(p, r, now) + tokens_to_read(p, i) <= service.kv_tokens * CACHE_SHARE


def tokens_to_read(p: State, i: int) -> int:
    """Its prompt, and what it had made before it was put back."""
    return p.requests[i].input_tokens + p.requests[i].kept_tokens


def begin(p: State, i: int, r: int, now: float) -> None:
    """The engine begins with it."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    if request.kept_tokens == 0:
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
    replica.prompt_tokens += tokens_to_read(p, i)
    if replica.first_reading == NONE:
        replica.turns = turns_by(p, r, now)
        replica.turns_at = now
        replica.first_reading = i
        replica.read_at = now + service.prefill * tokens_to_read(p, i)
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
        left = max(0.0, min(p.batches[r * p.world[0].batch].target, full_at_turn(p, r)) - replica.turns)
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
        full = full_at_turn(p, r)
        i = p.batches[r * p.world[0].batch].request
        target = p.batches[r * p.world[0].batch].target
        replica.turns_at = now
        if full < target:
            replica.turns = max(replica.turns, full)
            put_back(p, r)
            look_again(p, r)
            return NONE
        replica.turns = target
        return i
    i = replica.first_reading
    finish_reading(p, r, now)
    if p.requests[i].output_tokens - p.requests[i].kept_tokens <= 1:
        return i
    look_again(p, r)
    return NONE


def finish_reading(p: State, r: int, now: float) -> None:
    """A prompt is read, which makes the first token; its sequence joins the batch for the others."""
    replica = p.replicas[r]
    i = replica.first_reading
    request = p.requests[i]
    if request.kept_tokens == 0:
        request.first_token_at = now
    next_reading(p, r, now)
    request.state = DECODING
    request.joined_at = replica.turns
    replica.joined_sum += replica.turns
    join_batch(p, r, i, replica.turns + max(0, request.output_tokens - request.kept_tokens - 1))


def full_at_turn(p: State, r: int) -> float:
    """The turn at which those who decode have filled the cache; never for one alone, or without a bound."""
    replica = p.replicas[r]
    service = p.services[replica.service]
    if service.kv_tokens == 0 or replica.active <= 1:
        return INFINITE
    return (service.kv_tokens - replica.prompt_tokens + replica.joined_sum) / replica.decoding


def put_back(p: State, r: int) -> None:
    """The cache is full: who joined last leaves it, keeps what it has made, and is first in the backlog."""
    replica, base = p.replicas[r], r * p.world[0].batch
    service = p.services[replica.service]
    last = p.batches[base].request
    for place in range(1, replica.decoding):
        i = p.batches[base + place].request
        joined, latest = p.requests[i].joined_at, p.requests[last].joined_at
        if joined > latest or (joined == latest and p.requests[i].number > p.requests[last].number):
            last = i
    request = p.requests[last]
    leave_batch(p, r, last)
    replica.joined_sum -= request.joined_at
    replica.prompt_tokens -= tokens_to_read(p, last)
    request.kept_tokens += 1 + int(replica.turns - request.joined_at)
    replica.active -= 1
    service.engine_running -= 1
    service.engine_waiting += 1
    request.state = WAITING
    request.behind = replica.first_in_backlog
    replica.first_in_backlog = last
    if replica.backlog == 0:
        replica.last_in_backlog = last
    replica.backlog += 1


def next_reading(p: State, r: int, now: float) -> None:
    """The first prompt is done with; the next one is read."""
    replica = p.replicas[r]
    replica.first_reading = p.requests[replica.first_reading].behind
    replica.turns_at = now
    if replica.first_reading == NONE:
        replica.last_reading = NONE
    else:
        prefill = p.services[replica.service].prefill
        replica.read_at = now + prefill * tokens_to_read(p, replica.first_reading)


def leave_engine(p: State, i: int, r: int, now: float) -> None:
    """A request that the engine works on leaves it, finished or not."""
    request, replica = p.requests[i], p.replicas[r]
    service = p.services[request.service]
    replica.active -= 1
    service.engine_running -= 1
    request.ends_at = INFINITE
    if service.batching == 0:
        return
    replica.prompt_tokens -= tokens_to_read(p, i)
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
