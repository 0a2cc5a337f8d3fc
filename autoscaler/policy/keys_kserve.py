"""The table, third part: KServe's annotations and the scaling fields of `spec.predictor`.

Under `autoscalerClass: external` KServe itself ignores these fields, and editing them never restarts a pod; so they
are the first choice for what changes often. Annotations of KServe that are not here belong to KServe.
"""

from __future__ import annotations

from autoscaler.policy.amounts import Percentage, WholeNumber
from autoscaler.policy.key import Key, Vocabulary
from autoscaler.policy.keys_pilotlight import METRIC, MOST_REPLICAS, OTHERWISE_TARGET
from autoscaler.policy.words import Choice

DOMAIN: str = "serving.kserve.io/"

_WRITE_EXTERNAL = "write external, so that Pilotlight alone owns the replicas"
_WRITE_STANDARD = "is not served by Deployments that Pilotlight could scale; write Standard"

ANNOTATIONS: tuple[Key, ...] = (
    Key(
        DOMAIN + "autoscalerClass",
        Vocabulary.KSERVE,
        Choice(
            words=("external",),
            refused={
                "hpa": f"lets KServe create a HorizontalPodAutoscaler; {_WRITE_EXTERNAL}",
                "keda": f"lets KServe create a ScaledObject; {_WRITE_EXTERNAL}",
                "none": f"lets KServe reset the replicas to minReplicas; {_WRITE_EXTERNAL}",
            },
        ),
        "",
        "",
        "Who scales. In a cluster it must be there, because without it KServe creates a HorizontalPodAutoscaler;"
        " in shadow whoever scales stays, and a target in percent of processors or memory is his alone.",
        otherwise="hpa, which is KServe's; fine where there is no KServe",
    ),
    Key(
        DOMAIN + "deploymentMode",
        Vocabulary.KSERVE,
        Choice(
            words=("Standard", "RawDeployment"),
            refused={
                "Knative": _WRITE_STANDARD,
                "Serverless": _WRITE_STANDARD,
                "ModelMesh": _WRITE_STANDARD,
            },
        ),
        "",
        "Standard",
        "How KServe runs the model; `RawDeployment` is the old name of `Standard`.",
    ),
    Key(
        DOMAIN + "metric",
        Vocabulary.KSERVE,
        METRIC,
        "metric",
        "concurrency",
        "The same as `scaleMetric`, from old docs.",
    ),
    Key(
        DOMAIN + "targetUtilizationPercentage",
        Vocabulary.KSERVE,
        Percentage(1, 100),
        "target_utilization",
        "70",
        "The part of the target at which a replica counts as full.",
    ),
)


def _field(
    name: str, kind: WholeNumber | Choice, field: str, default: str, help_: str, *, unit: str = "", otherwise: str = ""
) -> Key:
    return Key(f"spec.predictor.{name}", Vocabulary.SPEC, kind, field, default, help_, unit, otherwise=otherwise)


FIELDS: tuple[Key, ...] = (
    _field(
        "minReplicas",
        WholeNumber(0, MOST_REPLICAS),
        "min_replicas",
        "0",
        "Never fewer replicas than this. Not given means 0 here (1 where KServe scales).",
    ),
    _field("maxReplicas", WholeNumber(0, MOST_REPLICAS), "max_replicas", "0", "Never more than this; 0: no maximum."),
    _field(
        "scaleTarget",
        WholeNumber(1, 2**31 - 1),
        "target",
        "",
        "How much of the metric one replica should have.",
        unit="requests, or requests per second",
        otherwise=OTHERWISE_TARGET,
    ),
    _field("scaleMetric", METRIC, "metric", "concurrency", "What a replica is given a target of."),
    _field(
        "containerConcurrency",
        WholeNumber(0, 10**6),
        "container_concurrency",
        "0",
        "How many requests one replica works on at a time, enforced by its queue proxy; 0: no limit.",
        unit="requests",
    ),
    _field(
        "timeout",
        WholeNumber(0, 24 * 3600),
        "timeouts.total",
        "0",
        "How long a request may take once forwarded; 0: no bound.",
        unit="seconds",
    ),
)
