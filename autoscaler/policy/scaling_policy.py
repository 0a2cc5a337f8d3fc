"""ScalingPolicy: one typed, frozen value that says how a service shall be scaled.

Whatever the user wrote, in KServe's fields, Knative's annotations or ours, ends up here and nowhere else;
deciding code never looks at an annotation. All durations are seconds, all percentages fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ScalingMode(Enum):
    """ON acts; SHADOW decides and records but leaves replicas alone; OFF does not look."""

    ON = "on"
    SHADOW = "shadow"
    OFF = "off"


class Metric(Enum):
    """What one replica is given a target of."""

    CONCURRENCY = "concurrency"
    RPS = "rps"


class Switch(Enum):
    """Something that is on or off, and says so in words."""

    ON = "on"
    OFF = "off"


class Aggregation(Enum):
    """How a window averages its seconds (Knative's metric-aggregation-algorithm)."""

    LINEAR = "linear"
    WEIGHTED_EXPONENTIAL = "weighted-exponential"


@dataclass(frozen=True, slots=True)
class Improvements:
    """Named differences from Knative's semantics, each switchable.

    All are on for a policy written in our own terms, and off where `autoscaling.knative.dev` annotations are
    used, unless switched by name: who writes in Knative's terms gets Knative's meaning.

    starting_replicas_count  replicas on their way are capacity: load they will answer is not asked for twice
    backlog_sizing           from zero, order what drains the held requests in time: see decide.backlog
    one_before_zero          N → 1 → 0: never to zero from more than one replica
    throughput_floor         while requests arrive, no fewer than complete them by what full replicas were measured to:
                             see decide.throughput
    """

    starting_replicas_count: bool = True
    backlog_sizing: bool = True
    one_before_zero: bool = True
    throughput_floor: bool = True


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many requests may wait and for how long; 0 seconds means no bound on age."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """The activator's hold: its bounds (see activator.messages.HoldBounds) and its order.

    priority_header  whether `pilotlight-priority` of a request counts
    tenant_header    the header, in lower case, that names a request's tenant; "": no tenants
    """

    requests: int = 10_000
    bytes: int = 256 * 1024 * 1024
    no_endpoint_seconds: float = 600.0
    full_seconds: float = 300.0
    priority_header: Switch = Switch.OFF
    tenant_header: str = ""


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """Seconds, 0 switches one off: total, to the first byte of the answer, between two bytes."""

    total: float = 0.0
    response_start: float = 0.0
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """How one service is scaled. Defaults are Knative's where Knative has the setting, but for the delay of going down:
    a replica that was taken away too early is back in a second there, and here once a model has loaded.

    target                   wanted per replica, before utilization (Knative: C)
    target_utilization       fraction of `target` at which a replica counts as full
    container_concurrency    hard limit per replica, 0: none
    max_replicas             0: no maximum
    initial_scale            replicas at first start, reached once
    asleep_at_first          an initial scale of 0 was asked for by name: what the cluster begins with (KServe's one
                             replica) is taken away, not awaited
    activation_scale         at least this many whenever there is load (1: no effect)
    scale_down_delay_seconds while there is load, no fewer than were asked for in this time; see decide.delay of zero
    target_burst_capacity    −1: activator always in the path, 0: only at zero, else spare requests wanted
    backlog_drain_seconds    once replicas are ready, what is held is served within this; 0: as long as a wake takes
    stale_after_seconds      a reading older than this is Stale
    queue                    bounds of each queue proxy's own queue; 0 requests: ten times container_concurrency
    gpu_busy                 share of time at work above which nothing is taken away (0..1, the mean over the GPUs of
                             ready replicas); 0: off
    gpu_utilization_target   share at which a replica's GPUs count as full; it can only add; 0: off
    """

    mode: ScalingMode = ScalingMode.ON
    metric: Metric = Metric.CONCURRENCY
    target: float = 100.0
    target_utilization: float = 0.7
    container_concurrency: int = 0
    min_replicas: int = 0
    max_replicas: int = 0
    initial_scale: int = 0
    asleep_at_first: bool = False
    activation_scale: int = 1
    stable_window_seconds: float = 60.0
    panic_window_fraction: float = 0.10
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay_seconds: float = 120.0
    scale_to_zero: bool = True
    scale_to_zero_grace_seconds: float = 30.0
    scale_to_zero_retention_seconds: float = 0.0
    progress_deadline_seconds: float = 600.0
    target_burst_capacity: float = 211.0
    aggregation: Aggregation = Aggregation.LINEAR
    backlog_drain_seconds: float = 0.0
    stale_after_seconds: float = 5.0
    queue: Bounds = field(default_factory=lambda: Bounds(requests=10_000, seconds=300.0))
    hold: HoldPolicy = HoldPolicy()
    timeouts: RequestTimeouts = RequestTimeouts()
    improvements: Improvements = Improvements()
    gpu_busy: float = 0.0
    gpu_utilization_target: float = 0.0
