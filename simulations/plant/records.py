"""What the plant consists of, as flat records: services, replicas, requests, nodes, events.

One definition serves two ways of running. Compiled, a collection of records is one structured numpy array; without a
compiler it is a list of these objects. The functions in `core` say `services[s].held += 1` and work on either, so there
is one source of truth and both ways give the same bits.

The records of a service are in service_record, those of replicas and requests in work_records.

Links between records are indices; NONE is no link. Truth values are 0 and 1. Times are seconds since the trace began.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from simulations.plant.codes import INFINITE, NONE
from simulations.plant.service_record import Service
from simulations.plant.work_records import BatchPlace, Group, Replica, Request


@dataclass(slots=True)
class World:
    """What there is one of. `tie` numbers events, so that those of one moment keep their order."""

    now: float = 0.0
    seed: int = 0
    tie: int = 0
    near: int = 0  # events in the line; `events`: in the heap (core.events)
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
    tells_silence: int = 0
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
    """What one scrape of a service's replicas told, and one push of its activators, each a second after the one before:
    areas since then, and what was true at that moment. The n-th is the one that ends in second n + 1, or with it."""

    second: int = NONE
    carried: float = 0.0  # the share of these areas that belongs to the second after `second`
    work: float = 0.0
    queued_area: float = 0.0
    arrived: int = 0
    push: int = NONE
    held: int = 0
    forwarded: int = 0
    held_first: float = 0.0  # what belongs to second `push`, and to the one after it
    held_second: float = 0.0
    arrived_first: float = 0.0
    arrived_second: float = 0.0
    in_flight: int = 0
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
class Told:
    """What `core.tell` has to say of one service, first by the last scrape of its replicas, then by the last push."""

    in_flight: float = 0.0
    queued: float = 0.0
    engine_running: float = 0.0
    engine_waiting: float = 0.0
    kv_cache_usage: float = 0.0
    attempts: int = 0
    done_attempts: int = 0
    service_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    busy_seconds: float = 0.0
    ready_seconds: float = 0.0
    forwarded: float = 0.0
    held: float = 0.0
    scrape: int = 0
    scraped_at: float = 0.0
    pushed_at: float = 0.0
    work_until: int = 0  # seconds before it can be told, of replicas
    held_until: int = 0  # and of activators
    settled: int = 0  # nothing has happened since what is told
    urgent_second: int = 0
    urgent_held: float = 0.0
    urgent_arrived: float = 0.0
    wanted: int = 0
    ready: int = 0
    starting: int = 0
    pending: int = 0
    draining: int = 0
    backing_off: int = 0
    in_path: int = 0
    ever_ready: int = 0
    expected_wake: float = 0.0


@dataclass(slots=True)
class ToldSecond:
    """A whole second, as a controller makes it of what it is told (`autoscaler.signals.observation.Sample`)."""

    second: int = 0
    load: float = 0.0
    arrived: float = 0.0
    waiting: float = 0.0


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
    """An event to come, first by time, then by its number (core.events)."""

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
    told: Sequence[Told]
    told_seconds: Sequence[ToldSecond]
    bins: Sequence[Bin]
    near: Sequence[Event]
    heap: Sequence[Event]
    rows: Sequence[Row]
    histograms: MutableSequence[int]
    caches: MutableSequence[int]
    last_starts: MutableSequence[float]
    latencies: MutableSequence[float]
    samples: Sequence[float]
    sample_from: Sequence[int]
