"""One service of the plant, as a flat record (see records): how it is, what is in it now, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.plant.codes import INFINITE, NONE, UNKNOWN


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
    heeds_retry_after: int = 1
    aborts: int = 1  # engines stop working on a request whose client has gone
    hold_requests: int = 0
    hold_no_endpoint: float = 0.0
    hold_full: float = 0.0
    queue_requests: int = 0
    queue_seconds: float = 0.0
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
    gap_since: float = 0.0  # since then nobody has left the hold for a replica
    mean_gap: float = UNKNOWN
    expected_wake: float = UNKNOWN
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
    # Readings: when in a second replicas are scraped and activators push, what has come together since they last were
    # and did, and what an activator pushed because nothing is ready.
    scrape_at: float = 0.0
    carried: float = 0.0
    scraped_when_ready: int = 0  # then `scrape_at` follows from when a replica was ready
    push_at: float = 0.0
    load_at: float = 0.0
    due: float = 1.0  # the next of the three ends below
    second: int = 0
    second_end: float = 1.0
    work_area: float = 0.0
    queued_area: float = 0.0
    arrived_there: int = 0
    push: int = 0
    push_end: float = 1.0
    told_since: float = 0.0  # when activators pushed last, regularly or not
    held_area: float = 0.0
    held_first: float = 0.0  # of earlier pushes in this period: what belongs to second `push`, and to the one after it
    held_second: float = 0.0
    arrived_here: int = 0
    pushed_at: float = UNKNOWN
    pushed_held: int = 0
    pushed_arrived: int = 0
    # Areas of the bin that runs, and of all time.
    bin: int = 0
    bin_end: float = 1.0
    bin_demand: float = 0.0
    bin_held: float = 0.0
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
