"""Settings that are allowed one by one and cannot both be meant: both are named, and where they stand."""

from __future__ import annotations

import pytest

from autoscaler.policy.errors import KeyPath, PolicyErrors, SourceMap
from autoscaler.policy.parse import read_policy
from tests.unit.policy.services import KNATIVE, KSERVE, OURS, error_of, service

Contradiction = tuple[dict[str, object], dict[str, object], str, str]

# annotations, fields of the spec, the key that is reported, the other one that the message names
CONTRADICTIONS: list[Contradiction] = [
    ({OURS + "min-replicas": "2"}, {"minReplicas": 3}, OURS + "min-replicas", "spec.predictor.minReplicas"),
    ({KNATIVE + "min-scale": "2", KNATIVE + "minScale": "3"}, {}, KNATIVE + "min-scale", KNATIVE + "minScale"),
    ({OURS + "target": "2", KNATIVE + "target": "3"}, {}, OURS + "target", KNATIVE + "target"),
    ({KSERVE + "metric": "rps"}, {"scaleMetric": "concurrency"}, KSERVE + "metric", "spec.predictor.scaleMetric"),
    ({OURS + "timeout": "1m"}, {"timeout": 61}, OURS + "timeout", "spec.predictor.timeout"),
    ({OURS + "stable-window": "30s", KNATIVE + "window": "1m"}, {}, OURS + "stable-window", KNATIVE + "window"),
    (
        {OURS + "target-utilization": "71%", KNATIVE + "target-utilization-percentage": "70"},
        {},
        OURS + "target-utilization",
        KNATIVE + "target-utilization-percentage",
    ),
    (
        {OURS + "panic-window": "7s", KNATIVE + "panic-window-percentage": "10"},
        {},
        OURS + "panic-window",
        KNATIVE + "panic-window-percentage",
    ),
    ({}, {"minReplicas": 3, "maxReplicas": 2}, "spec.predictor.minReplicas", "spec.predictor.maxReplicas"),
    ({KNATIVE + "min-scale": "3"}, {"maxReplicas": 2}, KNATIVE + "min-scale", "spec.predictor.maxReplicas"),
    (
        {KNATIVE + "activation-scale": "5"},
        {"maxReplicas": 4},
        KNATIVE + "activation-scale",
        "spec.predictor.maxReplicas",
    ),
    ({OURS + "activation-scale": "2"}, {"minReplicas": 3}, OURS + "activation-scale", "spec.predictor.minReplicas"),
    ({OURS + "initial-scale": "5"}, {"maxReplicas": 4}, OURS + "initial-scale", "spec.predictor.maxReplicas"),
    ({OURS + "scale-to-zero": "true"}, {"minReplicas": 1}, OURS + "scale-to-zero", "spec.predictor.minReplicas"),
    (
        {OURS + "panic-window": "31s", OURS + "stable-window": "30s"},
        {},
        OURS + "panic-window",
        OURS + "stable-window",
    ),
    ({OURS + "panic-window": "61s"}, {}, OURS + "panic-window", "the stable window of 1m"),
    ({OURS + "idle-timeout": "61s"}, {"timeout": 60}, OURS + "idle-timeout", "spec.predictor.timeout"),
    (
        {OURS + "response-start-timeout": "2m"},
        {"timeout": 60},
        OURS + "response-start-timeout",
        "spec.predictor.timeout",
    ),
    ({OURS + "queue-requests": "5"}, {}, OURS + "queue-requests", "containerConcurrency"),
    ({OURS + "queue-seconds": "5s"}, {"containerConcurrency": 0}, OURS + "queue-seconds", "containerConcurrency"),
    (
        {OURS + "backlog-drain-objective": "5s", OURS + "backlog-sizing": "false"},
        {},
        OURS + "backlog-drain-objective",
        OURS + "backlog-sizing",
    ),
    (
        {OURS + "scale-to-zero-retention": "1h", OURS + "scale-to-zero": "false"},
        {},
        OURS + "scale-to-zero-retention",
        OURS + "scale-to-zero",
    ),
]


@pytest.mark.parametrize(("annotations", "predictor", "key", "other"), CONTRADICTIONS)
def test_a_contradiction_is_refused_and_both_sides_are_named(
    annotations: dict[str, object], predictor: dict[str, object], key: str, other: str
) -> None:
    error = error_of(service(annotations, **predictor))
    assert error.key == key
    assert other in error.message


@pytest.mark.parametrize(
    ("annotations", "predictor"),
    [
        ({}, {"minReplicas": 3}),
        ({}, {"minReplicas": 3, "maxReplicas": 3}),
        ({}, {"minReplicas": 3, "maxReplicas": 0}),
        ({OURS + "activation-scale": "1"}, {"minReplicas": 3}),
        ({OURS + "activation-scale": "3"}, {"minReplicas": 3, "maxReplicas": 3}),
        ({OURS + "initial-scale": "1"}, {"minReplicas": 3, "maxReplicas": 3}),
        ({OURS + "scale-to-zero": "false"}, {"minReplicas": 1}),
        ({OURS + "panic-window": "6s", KNATIVE + "panic-window-percentage": "10"}, {}),
        ({OURS + "panic-window": "7s", KNATIVE + "panic-window-percentage": "11.66"}, {}),
        ({OURS + "panic-window": "60s"}, {}),
        ({OURS + "idle-timeout": "60s", OURS + "response-start-timeout": "1m"}, {"timeout": 60}),
        ({OURS + "idle-timeout": "60s"}, {"timeout": 0}),
        ({OURS + "queue-requests": "5"}, {"containerConcurrency": 1}),
        ({OURS + "target": "3", KNATIVE + "target": "3.0"}, {"scaleTarget": 3}),
        ({OURS + "backlog-drain-objective": "5s", KNATIVE + "target": "3", OURS + "backlog-sizing": "true"}, {}),
    ],
)
def test_what_can_be_meant_together_is_taken(annotations: dict[str, object], predictor: dict[str, object]) -> None:
    read_policy(service(annotations, **predictor))


def test_both_places_have_their_line() -> None:
    lines: dict[KeyPath, int] = {
        ("metadata", "annotations", OURS + "max-replicas"): 7,
        ("spec", "predictor", "maxReplicas"): 21,
    }
    with pytest.raises(PolicyErrors) as caught:
        read_policy(service({OURS + "max-replicas": "3"}, maxReplicas=4), SourceMap("my.yaml", lines))
    assert str(caught.value) == (
        'my.yaml:7: pilotlight.dev/max-replicas: "3" sets the same thing to another value than '
        'spec.predictor.maxReplicas: "4" (my.yaml:21)'
    )


def test_a_value_that_cannot_be_read_contradicts_nothing() -> None:
    assert error_of(service({OURS + "max-replicas": "three"}, minReplicas=4)).key == OURS + "max-replicas"


def test_a_contradiction_is_reported_beside_other_mistakes() -> None:
    with pytest.raises(PolicyErrors) as caught:
        read_policy(service({OURS + "target": "NaN"}, minReplicas=3, maxReplicas=2))
    assert {error.key for error in caught.value.errors} == {OURS + "target", "spec.predictor.minReplicas"}
