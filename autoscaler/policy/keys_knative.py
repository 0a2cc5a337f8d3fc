"""The table, second part: Knative's annotations, with the meaning and the bounds that Knative Serving gives them.

What is stricter here: NaN and infinity are refused (Knative compares with less and greater, which lets them through),
and so is a word that Knative would silently take for its default. Zero is allowed as initial scale, which in Knative
the cluster has to permit.
"""

from __future__ import annotations

from autoscaler.policy.amounts import Duration, Number, Percentage, WholeNumber
from autoscaler.policy.key import Key, Vocabulary
from autoscaler.policy.keys_pilotlight import METRIC, MOST_REPLICAS, OTHERWISE_TARGET
from autoscaler.policy.scaling_policy import Aggregation
from autoscaler.policy.values import Kind
from autoscaler.policy.words import Choice

DOMAIN: str = "autoscaling.knative.dev/"


def _key(name: str, kind: Kind, field: str, default: str, help_: str, *, unit: str = "", otherwise: str = "") -> Key:
    first, *rest = name.split("-")
    camel = first + "".join(word.capitalize() for word in rest)
    spellings = (DOMAIN + camel,) if rest else ()
    return Key(DOMAIN + name, Vocabulary.KNATIVE, kind, field, default, help_, unit, spellings, otherwise)


KEYS: tuple[Key, ...] = (
    _key(
        "class",
        Choice(
            words=("kpa.autoscaling.knative.dev",),
            refused={
                "hpa.autoscaling.knative.dev": "hands the replicas to a HorizontalPodAutoscaler, which cannot"
                " reach zero and would own what Pilotlight has to own; remove the annotation",
            },
        ),
        "",
        "kpa.autoscaling.knative.dev",
        "Which autoscaler's meaning the other annotations have.",
    ),
    _key("metric", METRIC, "metric", "concurrency", "What a replica is given a target of."),
    _key(
        "target",
        Number(0.01, 1e9),
        "target",
        "",
        "How much of the metric one replica should have, capped by `containerConcurrency` for concurrency.",
        unit="requests, or requests per second",
        otherwise=OTHERWISE_TARGET,
    ),
    _key(
        "target-utilization-percentage",
        Percentage(1, 100),
        "target_utilization",
        "70",
        "The part of the target at which a replica counts as full.",
    ),
    _key(
        "target-burst-capacity",
        Number(0, 1e9, special=-1),
        "target_burst_capacity",
        "211",
        "Spare room for a burst below which the activator stays in the path; 0: only at zero; -1: always.",
        unit="requests",
    ),
    _key("min-scale", WholeNumber(0, MOST_REPLICAS), "min_replicas", "0", "Never fewer replicas than this."),
    _key("max-scale", WholeNumber(0, MOST_REPLICAS), "max_replicas", "0", "Never more than this; 0: no maximum."),
    _key(
        "initial-scale",
        WholeNumber(0, MOST_REPLICAS),
        "initial_scale",
        "1",
        "Replicas to start a new service with, whether or not there is load; 0: it is asleep from the beginning.",
    ),
    _key(
        "activation-scale",
        WholeNumber(2, MOST_REPLICAS),
        "activation_scale",
        "",
        "At least this many whenever there is load at all.",
        otherwise="1, which has no effect",
    ),
    _key(
        "scale-down-delay",
        Duration(0, 3600, whole=True),
        "scale_down_delay_seconds",
        "0s",
        "Go down only to the most that was asked for during this time.",
    ),
    _key(
        "window",
        Duration(6, 3600, whole=True),
        "stable_window_seconds",
        "60s",
        "The stable window: load is averaged over this time.",
    ),
    _key(
        "panic-window-percentage",
        Percentage(1, 100),
        "panic_window_fraction",
        "10",
        "The panic window as a part of the stable one, rounded to whole seconds, at least one.",
    ),
    _key(
        "panic-threshold-percentage",
        Percentage(110, 1000),
        "panic_threshold",
        "200",
        "Panic when the panic window alone asks for this part of the ready replicas.",
    ),
    _key(
        "scale-to-zero-pod-retention-period",
        Duration(0, 3600),
        "scale_to_zero_retention_seconds",
        "0s",
        "The last replica stays at least this long after a service became idle.",
    ),
    _key(
        "metric-aggregation-algorithm",
        Choice(
            words=tuple(aggregation.value for aggregation in Aggregation),
            spelled={"weightedExponential": Aggregation.WEIGHTED_EXPONENTIAL.value},
        ),
        "aggregation",
        "linear",
        "How a window averages its seconds.",
    ),
    Key(
        "serving.knative.dev/progress-deadline",
        Vocabulary.KNATIVE,
        Duration(1, 24 * 3600, whole=True),
        "progress_deadline_seconds",
        "10m",
        "How long a wake may take before it is given up. Alone it does not mean that Knative's terms are used.",
    ),
)
