"""What an InferenceService in shadow says to whoever scales it now, and not to us.

Shadow is for looking before anything changes, so what the present autoscaler goes by has to stay as it is: the class
that makes KServe create it, and a target that is a percentage of processors. Read as ours, the one would be a mistake
and the other a hundred times too high.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.policy.keys_kserve import DOMAIN
from autoscaler.policy.names import AUTOSCALER_CLASS, SCALING

_METRIC, _SCALE_METRIC = DOMAIN + "metric", "spec.predictor.scaleMetric"
_TARGETS = (DOMAIN + "targetUtilizationPercentage", "spec.predictor.scaleTarget")
# No HorizontalPodAutoscaler of KServe's knows these; so who writes them means us.
_OURS = ("concurrency", "rps")


def for_another(annotations: Mapping[str, object], predictor: Mapping[str, object]) -> frozenset[str]:
    """Names of the annotations and fields that are not to be read; none where it is not in shadow, or nobody else
    scales it."""
    if annotations.get(SCALING) != "shadow" or annotations.get(AUTOSCALER_CLASS) == "external":
        return frozenset()
    named = {str(metric) for metric in (annotations.get(_METRIC), predictor.get("scaleMetric")) if metric is not None}
    return frozenset(
        (AUTOSCALER_CLASS,) if named & set(_OURS) else (AUTOSCALER_CLASS, _METRIC, _SCALE_METRIC, *_TARGETS)
    )
