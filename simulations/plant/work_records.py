"""Where work is done, as flat records (see records): replicas, requests, and the lines and batches that link them."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.plant.codes import INFINITE, NONE


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
    line_at: float = INFINITE  # when it is looked whether the first in line has waited too long
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
    queued_at: float = 0.0
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
