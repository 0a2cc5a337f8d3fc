"""The table, first part: our own annotations, `pilotlight.dev/*`; those for requests are in `keys_requests`."""

from __future__ import annotations

from autoscaler.policy.amounts import Duration, Fraction, Number, WholeNumber
from autoscaler.policy.key import OUR_DOMAIN, PANIC_WINDOW_SECONDS, SEMANTICS, Key, our_key
from autoscaler.policy.keys_requests import REQUESTS
from autoscaler.policy.scaling_policy import Aggregation, Metric, ScalingMode
from autoscaler.policy.words import PROFILE_NAME, Boolean, Choice

DOMAIN: str = OUR_DOMAIN

MOST_REPLICAS = 2**31 - 1  # an int32, as Kubernetes counts replicas
_DAY = 24 * 3600.0
_NO_METRIC = "is a metric of the HorizontalPodAutoscaler, which cannot see requests or reach zero"


# What applies where nobody says anything and other keys decide; for both vocabularies that have the key.
OTHERWISE_TARGET = "`containerConcurrency`, else 100; for rps 200"
_OTHERWISE_IMPROVED = "true; false under Knative's semantics"


METRIC = Choice(
    words=tuple(metric.value for metric in Metric),
    refused={"cpu": _NO_METRIC, "memory": _NO_METRIC},
)

_WHAT = (
    our_key(
        "scaling",
        Choice(tuple(mode.value for mode in ScalingMode)),
        "mode",
        "on",
        "`on` acts; `shadow` decides and records but leaves replicas alone; `off` does not look.",
    ),
    our_key(
        "profile",
        PROFILE_NAME,
        "",
        "",
        "A named set of settings that counts where the object itself says nothing.",
        otherwise="none",
    ),
    our_key(
        "metric",
        METRIC,
        "metric",
        "concurrency",
        "What a replica is given a target of: requests at a time, or a second.",
    ),
    our_key(
        "target",
        Number(0.01, 1e9),
        "target",
        "",
        "How much of the metric one replica should have; never more than its `containerConcurrency`.",
        unit="requests, or requests per second",
        otherwise=OTHERWISE_TARGET,
    ),
    our_key(
        "target-utilization",
        Fraction(0.01, 1),
        "target_utilization",
        "0.7",
        "The part of the target at which a replica counts as full, so that there is room while another starts.",
    ),
    our_key(
        "semantics",
        Choice(("pilotlight", "knative")),
        SEMANTICS,
        "",
        "`pilotlight` switches the four improvements below on, `knative` off.",
        otherwise="knative if an `autoscaling.knative.dev` annotation is used, else pilotlight",
    ),
    our_key(
        "count-starting-replicas",
        Boolean(),
        "improvements.starting_replicas_count",
        "",
        "Replicas on their way are capacity: what they will take is not asked for twice.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
    our_key(
        "backlog-sizing",
        Boolean(),
        "improvements.backlog_sizing",
        "",
        "From zero, order what drains the held requests within `backlog-drain-objective`.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
    our_key(
        "one-before-zero",
        Boolean(),
        "improvements.one_before_zero",
        "",
        "Go to zero only from one replica, never from several at once.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
    our_key(
        "throughput-floor",
        Boolean(),
        "improvements.throughput_floor",
        "",
        "While requests arrive, take away no replica without which the others would fall behind, by what replicas were "
        "measured to complete while all were full. It only keeps what is there, for 20 minutes after that was measured "
        "at most. For a target of concurrency.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
)

_REPLICAS = (
    our_key("min-replicas", WholeNumber(0, MOST_REPLICAS), "min_replicas", "0", "Never fewer replicas than this."),
    our_key("max-replicas", WholeNumber(0, MOST_REPLICAS), "max_replicas", "0", "Never more than this; 0: no maximum."),
    our_key(
        "initial-scale",
        WholeNumber(0, MOST_REPLICAS),
        "initial_scale",
        "0",
        "Replicas to start a new service with, whether or not there is load. KServe starts one in any case: it becomes "
        "ready once and sleeps when it is idle, unless 0 is said here by name; then it is taken away at once.",
        otherwise="1 under Knative's semantics",
    ),
    our_key(
        "activation-scale",
        WholeNumber(1, MOST_REPLICAS),
        "activation_scale",
        "1",
        "At least this many whenever there is load at all.",
    ),
)

_RATES = (
    our_key(
        "stable-window",
        Duration(1, 3600, whole=True),
        "stable_window_seconds",
        "60s",
        "Load is averaged over this time. It is also the idle time after which a service may go to zero.",
    ),
    our_key(
        "panic-window",
        Duration(1, 3600, whole=True),
        PANIC_WINDOW_SECONDS,
        "",
        "The short window that notices a burst.",
        otherwise="a tenth of the stable window",
    ),
    our_key(
        "panic-threshold",
        Fraction(1.1, 10),
        "panic_threshold",
        "2",
        "Panic when the panic window alone asks for this many times the replicas that are ready.",
    ),
    our_key(
        "max-scale-up-rate",
        Number(1, 1e9, exclusive=True),
        "max_scale_up_rate",
        "1000",
        "Order at most this many times the ready replicas in one evaluation.",
    ),
    our_key(
        "max-scale-down-rate",
        Number(1, 1e9, exclusive=True),
        "max_scale_down_rate",
        "2",
        "Keep at least the ready replicas divided by this in one evaluation.",
    ),
    our_key(
        "scale-down-delay",
        Duration(0, 3600, whole=True),
        "scale_down_delay_seconds",
        "2m",
        "While there is load, go down only to the most that was asked for during this time: a replica that was taken "
        "away too early is missed for as long as a start takes. Going to zero waits for it only where "
        "`one-before-zero` is false, as under Knative's semantics.",
        otherwise="0s under Knative's semantics",
    ),
    our_key(
        "window-aggregation",
        Choice(tuple(aggregation.value for aggregation in Aggregation)),
        "aggregation",
        "linear",
        "How a window averages its seconds: all alike, or recent ones more.",
    ),
    our_key(
        "target-burst-capacity",
        Number(0, 1e9, special=-1),
        "target_burst_capacity",
        "211",
        "Spare room for a burst below which the activator stays in the path; 0: only at zero; -1: always.",
        unit="requests",
    ),
    our_key(
        "stale-after",
        Duration(2, 600),
        "stale_after_seconds",
        "5s",
        "A reading older than this is not acted on. Unknown is not zero: nothing sleeps on a stale reading.",
    ),
)

_ZERO = (
    our_key(
        "scale-to-zero", Boolean(), "scale_to_zero", "true", "Whether zero replicas are allowed; `false` keeps one."
    ),
    our_key(
        "scale-to-zero-grace-period",
        Duration(0, 3600),
        "scale_to_zero_grace_seconds",
        "30s",
        "How long the activator must be in the path before the last replica goes.",
    ),
    our_key(
        "scale-to-zero-retention",
        Duration(0, _DAY),
        "scale_to_zero_retention_seconds",
        "0s",
        "The last replica stays at least this long after a service became idle.",
    ),
    our_key(
        "progress-deadline",
        Duration(1, _DAY),
        "progress_deadline_seconds",
        "10m",
        "How long a wake may take before it is given up.",
    ),
    our_key(
        "backlog-drain-objective",
        Duration(0, _DAY),
        "backlog_drain_seconds",
        "0s",
        "Once replicas are ready, held requests should be served within this time; sizes a wake from zero. 0s: within "
        "the time that nine of ten wakes take, at most 30s.",
    ),
)

_GPUS = (
    our_key(
        "gpu-busy",
        Fraction(0, 1),
        "gpu_busy",
        "0",
        "While the GPUs of its replicas are at work for more than this share of the time, on average, a service is "
        "neither scaled down nor put to sleep: for work that no request shows. Nor is it while that share is not "
        "known. 0: GPUs are not looked at.",
    ),
    our_key(
        "gpu-utilization-target",
        Fraction(0, 1),
        "gpu_utilization_target",
        "0",
        "The share of the time at which the GPUs of a replica count as full. While there is load, it can ask for more "
        "replicas than requests do, and never for fewer. While that share is not known, nothing is scaled down. "
        "0: off.",
    ),
)

SECTIONS = (
    ("What is scaled, and by what", _WHAT),
    ("How many replicas", _REPLICAS),
    ("How fast", _RATES),
    ("To zero and back", _ZERO),
    ("GPUs", _GPUS),
    ("Requests", REQUESTS),
)

KEYS: tuple[Key, ...] = tuple(key for _, keys in SECTIONS for key in keys)
