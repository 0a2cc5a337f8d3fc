"""What the plant consists of, as flat records: services, replicas, requests, nodes, events.

One definition serves two ways of running. Compiled, a collection of records is one structured numpy array; without a
compiler it is a list of these objects. The functions in `core` say `services[s].held += 1` and work on either, so there
is one source of truth and both ways give the same bits.

Links between records are indices; NONE is no link. Truth values are 0 and 1. Times are seconds since the trace began.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from simulations.plant.codes import INFINITE, NONE


@dataclass(slots=True)
class World:
    """What there is one of. `tie` numbers events, so that those of one moment keep their order."""

    now: float = 0.0
    seed: int = 0
    tie: int = 0
    events: int = 0
    cursor: int = 0
    rows: int = 0
    trace_over: int = 0
    numbers: int = 0
    free_request: int = NONE
    requests_used: int = 0
    request_room: int = 0
    free_replica: int = NONE
    replicas_used: int = 0
    replica_room: int = 0
    free_group: int = NONE
    event_room: int = 0
    told: int = NONE
    found_nobody: int = 0
    pump: int = NONE
    services: int = 0
    ring: int = 0
    bins: int = 0
    bin_width: float = 1.0
    batch: int = 0
    nodes: int = 0
    lasting_nodes: int = 0
    nodes_there: int = 0
    nodes_at: float = 0.0
    node_seconds: float = 0.0
    gpus_per_node: int = 0
    node_idle_seconds: float = 0.0
    gpus_used: int = 0
    most_gpus: int = 0
    unplaced: int = NONE
    last_unplaced: int = NONE
    window: int = 0
    window_ended: int = 0
    window_good: int = 0
    worst_window: float = INFINITE
    latencies_kept: int = 0  # of so many requests at the beginning of the trace


@dataclass(slots=True)
class Service:
    """One service: how it is, what is in it now, and what has become of it."""

    # How it is.
    batching: int = 0
    slots: int = 0
    prefill: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    kv_tokens: int = 0
    limit: int = 0
    gpus: int = 0
    timeout: float = 0.0
    retries: int = 0
    backoff: float = 0.0
    aborts: int = 1  # engines stop working on a request whose client has gone
    hold_requests: int = 0
    hold_no_endpoint: float = 0.0
    hold_full: float = 0.0
    queue_requests: int = 0
    good_latency: float = INFINITE
    good_ttft: float = INFINITE
    drain_seconds: float = 0.0
    stop_seconds: float = 0.0
    failure: float = 0.0
    is_reclaimed: int = 0
    reclaim_notice: float = 0.0
    start_backoff: float = 0.0
    longest_backoff: float = 0.0
    starts_in_order: int = 0
    # Requests now.
    in_path: int = 1
    idle_first: int = 1  # the idlest replica goes first, not the youngest
    tells: int = 0  # 0: nothing; 1: of requests that find no endpoint; more: see above
    changed_at: float = 0.0
    announce_at: int = 1
    regime_since: float = 0.0
    held: int = 0
    first_held: int = NONE
    last_held: int = NONE
    oldest: int = NONE
    newest: int = NONE
    first_abandoned: int = NONE
    alarm_at: float = INFINITE
    in_flight: int = 0
    queued: int = 0
    engine_running: int = 0
    engine_waiting: int = 0
    # Replicas now.
    first_replica: int = NONE
    wanted: int = 0
    pending: int = 0
    starting: int = 0
    ready: int = 0
    busy: int = 0
    draining: int = 0
    backing_off: int = 0
    on_new_node: int = 0
    least_group: int = NONE
    ever_ready: int = 0
    start_number: int = 0
    direction: int = 0
    # Areas of the second that runs, and of all time.
    load_at: float = 0.0
    second: int = 0
    second_end: float = 1.0
    load_area: float = 0.0
    waiting_area: float = 0.0
    held_area: float = 0.0
    second_arrived: int = 0
    busy_seconds: float = 0.0
    ready_seconds: float = 0.0
    replicas_at: float = 0.0
    starting_seconds: float = 0.0
    draining_seconds: float = 0.0
    failed_seconds: float = 0.0
    # Counters.
    requests: int = 0
    attempts: int = 0
    done_attempts: int = 0
    service_seconds: float = 0.0
    completed: int = 0
    refused_no_endpoint: int = 0
    refused_full: int = 0
    timed_out: int = 0
    cut: int = 0
    good: int = 0
    cold: int = 0
    wait_seconds: float = 0.0
    latency_sum: float = 0.0
    latency_squares: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    window: int = 0
    window_ended: int = 0
    window_good: int = 0
    worst_window: float = INFINITE
    starts: int = 0
    failed_starts: int = 0
    reclaimed: int = 0
    raised: int = 0
    lowered: int = 0
    reversals: int = 0
    schedule_phase: float = 0.0
    node_phase: float = 0.0
    image_phase: float = 0.0
    runtime_phase: float = 0.0
    weights_phase: float = 0.0
    engine_phase: float = 0.0


@dataclass(slots=True)
class Replica:
    """One replica. `line` is its queue proxy's, `backlog` the engine's, `reading` the prompts', in order."""

    service: int = NONE
    state: int = 0
    number: int = 0
    failures: int = 0
    node: int = NONE
    next: int = NONE
    previous: int = NONE
    behind: int = NONE
    ordered_at: float = 0.0
    attempt_at: float = 0.0
    phase_at: float = 0.0
    life_at: float = INFINITE
    far: int = NONE
    far_target: float = 0.0
    schedule_phase: float = 0.0
    node_phase: float = 0.0
    image_phase: float = 0.0
    runtime_phase: float = 0.0
    weights_phase: float = 0.0
    engine_phase: float = 0.0
    group: int = NONE
    group_next: int = NONE
    group_previous: int = NONE
    in_flight: int = 0
    line: int = 0
    first_in_line: int = NONE
    last_in_line: int = NONE
    backlog: int = 0
    first_in_backlog: int = NONE
    last_in_backlog: int = NONE
    active: int = 0
    prompt_tokens: int = 0
    first_reading: int = NONE
    last_reading: int = NONE
    read_at: float = 0.0
    decoding: int = 0
    turns: float = 0.0  # tokens that each sequence of the batch has been given so far
    turns_at: float = 0.0
    joined_sum: float = 0.0  # sum of `turns` at which those in the batch joined it
    due_at: float = INFINITE
    scheduled_at: float = INFINITE


@dataclass(slots=True)
class Request:
    """One request, from its arrival until its last attempt has ended; or, abandoned, what an engine still works on of
    an attempt that has. `older` and `newer` link those whose clients wait, and apart from them the abandoned."""

    service: int = NONE
    state: int = 0
    number: int = 0
    attempt: int = 0
    cold: int = 0
    abandoned: int = 0
    replica: int = NONE
    older: int = NONE
    newer: int = NONE
    behind: int = NONE
    first_at: float = 0.0
    sent_at: float = 0.0
    forwarded_at: float = 0.0
    began_at: float = 0.0
    first_token_at: float = 0.0
    ends_at: float = INFINITE
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    kept_tokens: int = 0  # made before it was put back from a full cache
    joined_at: float = 0.0


@dataclass(slots=True)
class Group:
    """Ready replicas of one service with the same number in flight, who has been there longest first."""

    count: int = 0
    first: int = NONE
    last: int = NONE
    lower: int = NONE
    higher: int = NONE


@dataclass(slots=True)
class BatchPlace:
    """One sequence of a batch: the heap of replica r is batch[r · World.batch : … + Replica.decoding]."""

    target: float = 0.0
    request: int = NONE


@dataclass(slots=True)
class Node:
    """One node; `there` from when it is ordered until it is given back."""

    there: int = 0
    ready_at: float = 0.0
    gpus_free: int = 0
    replicas: int = 0
    idle_since: float = 0.0


@dataclass(slots=True)
class Link:
    """What transfers from far share: images one, weights the other. `moved` is seconds at full speed, of each."""

    streams: float = 0.0
    active: int = 0
    moved: float = 0.0
    moved_at: float = 0.0
    scheduled_at: float = INFINITE


@dataclass(slots=True)
class Second:
    """A whole second of one service: its areas, and what was true at its end."""

    second: int = NONE
    load: float = 0.0
    waiting: float = 0.0
    arrived: int = 0
    in_flight: int = 0
    held: int = 0
    queued: int = 0
    engine_running: int = 0
    engine_waiting: int = 0
    kv_cache_usage: float = 0.0
    attempts: int = 0
    done_attempts: int = 0
    service_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    busy_seconds: float = 0.0
    ready_seconds: float = 0.0


@dataclass(slots=True)
class Bin:
    """A bin of one service's time line: areas and counts."""

    demand: float = 0.0
    held: float = 0.0
    wanted: float = 0.0
    starting: float = 0.0
    ready: float = 0.0
    draining: float = 0.0
    arrived: int = 0
    ended: int = 0
    missed: int = 0


@dataclass(slots=True)
class Event:
    """An event in the heap, first by time, then by its number."""

    at: float = 0.0
    tie: int = 0
    what: int = 0


@dataclass(slots=True)
class Row:
    """One request of the trace, with what is drawn for it."""

    at: float = 0.0
    service: int = 0
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


class State(NamedTuple):
    """Everything, as the functions in `core` get it."""

    world: Sequence[World]
    services: Sequence[Service]
    replicas: Sequence[Replica]
    requests: Sequence[Request]
    groups: Sequence[Group]
    batches: Sequence[BatchPlace]
    nodes: Sequence[Node]
    links: Sequence[Link]
    seconds: Sequence[Second]
    bins: Sequence[Bin]
    heap: Sequence[Event]
    rows: Sequence[Row]
    histograms: MutableSequence[int]
    caches: MutableSequence[int]
    last_starts: MutableSequence[float]
    latencies: MutableSequence[float]
    samples: Sequence[float]
    sample_from: Sequence[int]
