"""The table, first part: our own annotations, `pilotlight.dev/*`."""

from __future__ import annotations

from autoscaler.policy.key import PANIC_WINDOW_SECONDS, SEMANTICS, Key, Vocabulary
from autoscaler.policy.scaling_policy import Aggregation, Metric, ScalingMode, Switch
from autoscaler.policy.values import (
    PROFILE_NAME,
    Boolean,
    Choice,
    Duration,
    Fraction,
    HeaderName,
    Kind,
    Number,
    Quantity,
    WholeNumber,
)

DOMAIN = "pilotlight.dev/"

MOST_REPLICAS = 2**31 - 1  # an int32, as Kubernetes counts replicas
_DAY = 24 * 3600.0
_NO_METRIC = "is a metric of the HorizontalPodAutoscaler, which cannot see requests or reach zero"


# What applies where nobody says anything and other keys decide; for both vocabularies that have the key.
OTHERWISE_TARGET = "`containerConcurrency`, else 100; for rps 200"
_OTHERWISE_IMPROVED = "true; false under Knative's semantics"


def _key(name: str, kind: Kind, field: str, default: str, help_: str, *, unit: str = "", otherwise: str = "") -> Key:
    return Key(DOMAIN + name, Vocabulary.PILOTLIGHT, kind, field, default, help_, unit, otherwise=otherwise)


METRIC = Choice(
    words=tuple(metric.value for metric in Metric),
    refused={"cpu": _NO_METRIC, "memory": _NO_METRIC},
)

_WHAT = (
    _key(
        "scaling",
        Choice(tuple(mode.value for mode in ScalingMode)),
        "mode",
        "on",
        "`on` acts; `shadow` decides and records but leaves replicas alone; `off` does not look.",
    ),
    _key(
        "profile",
        PROFILE_NAME,
        "",
        "",
        "A named set of settings that counts where the object itself says nothing.",
        otherwise="none",
    ),
    _key(
        "metric",
        METRIC,
        "metric",
        "concurrency",
        "What a replica is given a target of: requests at a time, or a second.",
    ),
    _key(
        "target",
        Number(0.01, 1e9),
        "target",
        "",
        "How much of the metric one replica should have; never more than its `containerConcurrency`.",
        unit="requests, or requests per second",
        otherwise=OTHERWISE_TARGET,
    ),
    _key(
        "target-utilization",
        Fraction(0.01, 1),
        "target_utilization",
        "0.7",
        "The part of the target at which a replica counts as full, so that there is room while another starts.",
    ),
    _key(
        "semantics",
        Choice(("pilotlight", "knative")),
        SEMANTICS,
        "",
        "`pilotlight` switches the three improvements below on, `knative` off.",
        otherwise="knative if an `autoscaling.knative.dev` annotation is used, else pilotlight",
    ),
    _key(
        "count-starting-replicas",
        Boolean(),
        "improvements.starting_replicas_count",
        "",
        "Replicas on their way are capacity: what they will take is not asked for twice.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
    _key(
        "backlog-sizing",
        Boolean(),
        "improvements.backlog_sizing",
        "",
        "From zero, order what drains the held requests within `backlog-drain-objective`.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
    _key(
        "one-before-zero",
        Boolean(),
        "improvements.one_before_zero",
        "",
        "Go to zero only from one replica, never from several at once.",
        otherwise=_OTHERWISE_IMPROVED,
    ),
)

_REPLICAS = (
    _key("min-replicas", WholeNumber(0, MOST_REPLICAS), "min_replicas", "0", "Never fewer replicas than this."),
    _key("max-replicas", WholeNumber(0, MOST_REPLICAS), "max_replicas", "0", "Never more than this; 0: no maximum."),
    _key(
        "initial-scale",
        WholeNumber(0, MOST_REPLICAS),
        "initial_scale",
        "0",
        "Replicas to start a new service with, whether or not there is load. KServe starts one in any case: it becomes "
        "ready once and sleeps when it is idle, unless 0 is said here by name; then it is taken away at once.",
        otherwise="1 under Knative's semantics",
    ),
    _key(
        "activation-scale",
        WholeNumber(1, MOST_REPLICAS),
        "activation_scale",
        "1",
        "At least this many whenever there is load at all.",
    ),
)

_RATES = (
    _key(
        "stable-window",
        Duration(1, 3600, whole=True),
        "stable_window_seconds",
        "60s",
        "Load is averaged over this time. It is also the idle time after which a service may go to zero.",
    ),
    _key(
        "panic-window",
        Duration(1, 3600, whole=True),
        PANIC_WINDOW_SECONDS,
        "",
        "The short window that notices a burst.",
        otherwise="a tenth of the stable window",
    ),
    _key(
        "panic-threshold",
        Fraction(1.1, 10),
        "panic_threshold",
        "2",
        "Panic when the panic window alone asks for this many times the replicas that are ready.",
    ),
    _key(
        "max-scale-up-rate",
        Number(1, 1e9, exclusive=True),
        "max_scale_up_rate",
        "1000",
        "Order at most this many times the ready replicas in one evaluation.",
    ),
    _key(
        "max-scale-down-rate",
        Number(1, 1e9, exclusive=True),
        "max_scale_down_rate",
        "2",
        "Keep at least the ready replicas divided by this in one evaluation.",
    ),
    _key(
        "scale-down-delay",
        Duration(0, 3600, whole=True),
        "scale_down_delay_seconds",
        "2m",
        "While there is load, go down only to the most that was asked for during this time: a replica that was taken "
        "away too early is missed for as long as a start takes. Going to zero waits for it only under Knative's "
        "semantics.",
        otherwise="0s under Knative's semantics",
    ),
    _key(
        "window-aggregation",
        Choice(tuple(aggregation.value for aggregation in Aggregation)),
        "aggregation",
        "linear",
        "How a window averages its seconds: all alike, or recent ones more.",
    ),
    _key(
        "target-burst-capacity",
        Number(0, 1e9, special=-1),
        "target_burst_capacity",
        "211",
        "Spare room for a burst below which the activator stays in the path; 0: only at zero; -1: always.",
        unit="requests",
    ),
    _key(
        "stale-after",
        Duration(2, 600),
        "stale_after_seconds",
        "5s",
        "A reading older than this is not acted on. Unknown is not zero: nothing sleeps on a stale reading.",
    ),
)

_ZERO = (
    _key("scale-to-zero", Boolean(), "scale_to_zero", "true", "Whether zero replicas are allowed; `false` keeps one."),
    _key(
        "scale-to-zero-grace-period",
        Duration(0, 3600),
        "scale_to_zero_grace_seconds",
        "30s",
        "How long the activator must be in the path before the last replica goes.",
    ),
    _key(
        "scale-to-zero-retention",
        Duration(0, _DAY),
        "scale_to_zero_retention_seconds",
        "0s",
        "The last replica stays at least this long after a service became idle.",
    ),
    _key(
        "progress-deadline",
        Duration(1, _DAY),
        "progress_deadline_seconds",
        "10m",
        "How long a wake may take before it is given up.",
    ),
    _key(
        "backlog-drain-objective",
        Duration(0.1, _DAY),
        "backlog_drain_seconds",
        "30s",
        "Once replicas are ready, held requests should be served within this time; sizes a wake from zero.",
    ),
)

_GPUS = (
    _key(
        "gpu-busy",
        Fraction(0, 1),
        "gpu_busy",
        "0",
        "While the GPUs of its replicas are at work for more than this share of the time, on average, a service is "
        "neither scaled down nor put to sleep: for work that no request shows. Nor is it while that share is not "
        "known. 0: GPUs are not looked at.",
    ),
    _key(
        "gpu-utilization-target",
        Fraction(0, 1),
        "gpu_utilization_target",
        "0",
        "The share of the time at which the GPUs of a replica count as full. While there is load, it can ask for more "
        "replicas than requests do, and never for fewer. While that share is not known, nothing is scaled down. "
        "0: off.",
    ),
)

_REQUESTS = (
    _key(
        "hold-requests",
        WholeNumber(1, 10**6),
        "hold.requests",
        "10000",
        "How many requests may wait in the activator; more are answered 503 or 429.",
    ),
    _key(
        "hold-bytes", Quantity(2**10, 2**40), "hold.bytes", "256Mi", "How much memory bodies of held requests may take."
    ),
    _key(
        "hold-no-endpoint",
        Duration(0.01, _DAY),
        "hold.no_endpoint_seconds",
        "10m",
        "How long a request may wait while no replica is ready; then it is answered 503 with Retry-After.",
    ),
    _key(
        "hold-full",
        Duration(0.01, _DAY),
        "hold.full_seconds",
        "5m",
        "How long a request may wait while replicas are ready and full; then it is answered 429.",
    ),
    _key(
        "priority-header",
        Choice(tuple(switch.value for switch in Switch)),
        "hold.priority_header",
        "off",
        "Whether a request's header `pilotlight-priority` (`high`, `normal`, `low`) decides who goes first; all of one "
        "priority go before any of the next. Only for services that strangers cannot reach.",
    ),
    _key(
        "tenant-header",
        HeaderName(),
        "hold.tenant_header",
        "",
        "The request header that names a tenant: tenants take turns, so that none can starve another. It should be set "
        "or checked by a gateway.",
        otherwise="none: first come, first served",
    ),
    _key(
        "queue-requests",
        WholeNumber(0, 10**6),
        "queue.requests",
        "10000",
        "How many requests that came directly to a replica may queue there beyond its `containerConcurrency`, with "
        "64 MiB of bodies together; 0: ten times `containerConcurrency`.",
        otherwise="0 under Knative's semantics",
    ),
    _key(
        "queue-seconds",
        Duration(0, _DAY),
        "queue.seconds",
        "5m",
        "How long one may queue there; then it is answered 429; 0: no bound.",
        otherwise="0 under Knative's semantics",
    ),
    _key(
        "timeout", Duration(0, _DAY), "timeouts.total", "0s", "How long a request may take once forwarded; 0: no bound."
    ),
    _key(
        "response-start-timeout",
        Duration(0, _DAY),
        "timeouts.response_start",
        "0s",
        "How long a replica may take to the first byte of its answer; 0: no bound.",
    ),
    _key("idle-timeout", Duration(0, _DAY), "timeouts.idle", "0s", "How long a connection may be silent; 0: no bound."),
)

SECTIONS = (
    ("What is scaled, and by what", _WHAT),
    ("How many replicas", _REPLICAS),
    ("How fast", _RATES),
    ("To zero and back", _ZERO),
    ("GPUs", _GPUS),
    ("Requests", _REQUESTS),
)

KEYS = tuple(key for _, keys in SECTIONS for key in keys)
