"""InferenceServices for the tests of the policy, and the errors that reading one gives."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from autoscaler.policy.errors import PolicyError, PolicyErrors
from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import ScalingPolicy

OURS = "pilotlight.dev/"
KNATIVE = "autoscaling.knative.dev/"
KSERVE = "serving.kserve.io/"


def service(annotations: Mapping[str, object] | None = None, /, **predictor: object) -> dict[str, object]:
    """`default/chat` with these annotations and these fields of its predictor."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "chat", "namespace": "default", "annotations": dict(annotations or {})},
        "spec": {"predictor": dict(predictor)},
    }


def saying(name: str, value: object) -> dict[str, object]:
    """A service that says one thing, in an annotation or in a field of the spec."""
    prefix = "spec.predictor."
    if name.startswith(prefix):
        return service(None, **{name.removeprefix(prefix): value})
    return service({name: value})


def errors_of(inference_service: Mapping[str, object]) -> tuple[PolicyError, ...]:
    """What is wrong with it; fails when nothing is."""
    with pytest.raises(PolicyErrors) as caught:
        read_policy(inference_service)
    return caught.value.errors


def error_of(inference_service: Mapping[str, object]) -> PolicyError:
    """The one thing that is wrong with it."""
    (error,) = errors_of(inference_service)
    return error


def outcome(inference_service: Mapping[str, object]) -> ScalingPolicy | PolicyErrors:
    """The policy, or why there is none; anything else that reading raises is a bug and goes through."""
    try:
        return read_policy(inference_service)
    except PolicyErrors as errors:
        return errors
