"""Reading an InferenceService: who counts more, whose meaning applies, and what a target comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policy import keys
from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.parse import read_policy, resolve_target
from autoscaler.policy.scaling_policy import Improvements, Metric, ScalingPolicy
from tests.unit.policy.services import KNATIVE, KSERVE, OURS, error_of, outcome, service

ALL_ON = Improvements(starting_replicas_count=True, backlog_sizing=True, one_before_zero=True, throughput_floor=True)
ALL_OFF = Improvements(
    starting_replicas_count=False, backlog_sizing=False, one_before_zero=False, throughput_floor=False
)


@pytest.mark.parametrize(
    ("annotations", "predictor", "target"),
    [
        ({}, {}, 100.0),
        ({}, {"containerConcurrency": 8}, 8.0),
        ({}, {"containerConcurrency": 300}, 300.0),
        ({KNATIVE + "target": "5"}, {"containerConcurrency": 8}, 5.0),
        ({KNATIVE + "target": "50"}, {"containerConcurrency": 8}, 8.0),
        ({KNATIVE + "target": "50"}, {}, 50.0),
        ({}, {"scaleTarget": 50, "containerConcurrency": 8}, 8.0),
        ({KNATIVE + "metric": "rps"}, {}, 200.0),
        ({KNATIVE + "metric": "rps"}, {"containerConcurrency": 8}, 200.0),
        ({KNATIVE + "metric": "rps", KNATIVE + "target": "50"}, {"containerConcurrency": 8}, 50.0),
        ({OURS + "metric": "rps", OURS + "target": "0.01"}, {}, 0.01),
    ],
)
def test_the_target_is_resolved_as_knative_does(
    annotations: dict[str, object], predictor: dict[str, object], target: float
) -> None:
    assert read_policy(service(annotations, **predictor)).target == target


@given(st.sampled_from(Metric), st.none() | st.floats(0.01, 1e9), st.integers(0, 10**6))
def test_a_target_for_concurrency_never_exceeds_the_hard_limit(
    metric: Metric, wanted: float | None, limit: int
) -> None:
    target = resolve_target(metric, wanted, limit)
    assert target > 0
    if metric is Metric.CONCURRENCY and limit:
        assert target <= limit
    if metric is Metric.RPS and wanted is not None:
        assert target == wanted


def test_our_own_terms_have_the_improvements_and_start_asleep() -> None:
    policy = read_policy(service({OURS + "target": "3", KSERVE + "autoscalerClass": "external"}))
    assert (policy.improvements, policy.initial_scale) == (ALL_ON, 0)


@pytest.mark.parametrize("name", ["target", "window", "minScale"])
def test_any_annotation_of_knative_brings_knatives_meaning(name: str) -> None:
    value = {"target": "3", "window": "30s", "minScale": "1"}[name]
    policy = read_policy(service({KNATIVE + name: value}))
    assert (policy.improvements, policy.initial_scale) == (ALL_OFF, 1)


def test_knatives_progress_deadline_alone_does_not_bring_knatives_meaning() -> None:
    assert read_policy(service({"serving.knative.dev/progress-deadline": "5m"})).improvements == ALL_ON


def test_semantics_by_name_count_more_than_the_annotations_used() -> None:
    both = {KNATIVE + "target": "3", OURS + "semantics": "pilotlight"}
    assert read_policy(service(both)).improvements == ALL_ON
    assert read_policy(service(both)).initial_scale == 0
    assert read_policy(service({OURS + "semantics": "knative"})).improvements == ALL_OFF


@pytest.mark.parametrize(
    ("annotations", "asleep"),
    [
        ({}, False),
        ({OURS + "initial-scale": "0"}, True),
        ({OURS + "initial-scale": "1"}, False),
        ({KNATIVE + "initialScale": "0"}, True),
        ({KNATIVE + "target": "3"}, False),
        ({OURS + "semantics": "knative"}, False),
    ],
)
def test_an_initial_scale_of_zero_is_more_than_none_when_it_is_said(annotations: dict[str, str], asleep: bool) -> None:
    assert read_policy(service(annotations)).asleep_at_first is asleep


def test_one_improvement_can_be_switched_by_its_own_name() -> None:
    on = read_policy(service({KNATIVE + "target": "3", OURS + "backlog-sizing": "true"})).improvements
    assert on == replace(ALL_OFF, backlog_sizing=True)
    off = read_policy(service({OURS + "one-before-zero": "false"})).improvements
    assert off == replace(ALL_ON, one_before_zero=False)


def test_the_predictors_annotation_counts_more_than_the_objects() -> None:
    both = service({OURS + "target": "3"}, annotations={OURS + "target": "5"})
    assert read_policy(both).target == 5.0


def test_an_annotation_of_the_predictor_alone_counts() -> None:
    assert read_policy(service(None, annotations={KNATIVE + "target": "5"})).improvements == ALL_OFF


def test_the_same_value_in_several_places_is_no_contradiction() -> None:
    policy = read_policy(service({OURS + "min-replicas": "2", KNATIVE + "min-scale": "2"}, minReplicas=2))
    assert policy.min_replicas == 2


def test_annotations_of_others_are_left_alone() -> None:
    read_policy(
        service({KSERVE + "enable-prometheus-scraping": "true", "example.com/pilotlight.dev": "x", "plain": ""})
    )


@pytest.mark.parametrize("other", ["model", "scaleMetricType", "timeoutSeconds", "containers", "minR"])
def test_fields_of_others_are_left_alone(other: str) -> None:
    read_policy({"metadata": {"name": "x"}, "spec": {"predictor": {other: 1}}})


_NAMES = st.sampled_from([name for key in keys.ANNOTATIONS for name in (key.name, *key.spellings)])
_TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["on", "off", "true", "false", "rps", "concurrency", "1", "2", "70%", "60s", "1h", "64Mi", "-1", "0"]
    ),
    st.from_regex(r"[+-]?[0-9]{1,30}(\.[0-9]{0,9})?([eE][+-]?[0-9]{1,4})?(s|m|h|ms|%|Mi)?", fullmatch=True),
)
_VALUES = st.one_of(_TEXTS, st.booleans(), st.integers(), st.floats(), st.none(), st.lists(st.integers(), max_size=2))
_SPECS = st.dictionaries(st.sampled_from([key.path[-1] for key in keys.FIELDS]), _VALUES, max_size=6)


@given(st.dictionaries(st.one_of(_NAMES, st.text().map(OURS.__add__)), _VALUES, max_size=8), _SPECS)
def test_whatever_is_written_gives_a_policy_within_bounds_or_policy_errors(
    annotations: dict[str, object], predictor: dict[str, object]
) -> None:
    result = outcome(service(annotations, **predictor))
    if isinstance(result, PolicyErrors):
        assert result.errors
        assert all(str(error).isprintable() for error in result.errors)
    else:
        assert policy_from_json(policy_to_json(result)) == result  # which holds every field against its bounds


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["metadata", "spec", "kind"]), _JSON)
    | st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"annotations": _JSON, "name": _JSON})})
    | st.fixed_dictionaries({"spec": st.fixed_dictionaries({"predictor": _JSON})})
)
def test_any_object_at_all_gives_a_policy_or_policy_errors(body: dict[str, object]) -> None:
    result = outcome(body)
    assert isinstance(result, ScalingPolicy) or result.errors


@pytest.mark.parametrize(
    ("annotations", "predictor"),
    [
        pytest.param({KSERVE + "autoscalerClass": "hpa"}, {"scaleMetric": "cpu", "scaleTarget": 80}, id="fields"),
        pytest.param({}, {"scaleTarget": 80}, id="cpu is what it scales by where nothing is said"),
        pytest.param(
            {KSERVE + "autoscalerClass": "hpa", KSERVE + "metric": "cpu", KSERVE + "targetUtilizationPercentage": "80"},
            {},
            id="annotations",
        ),
    ],
)
def test_in_shadow_what_is_said_to_the_autoscaler_that_is_there_is_not_said_to_us(
    annotations: dict[str, object], predictor: dict[str, object]
) -> None:
    shadow = {OURS + "scaling": "shadow", OURS + "target": "3"}
    read = read_policy(service({**annotations, **shadow}, maxReplicas=4, **predictor))
    assert read == read_policy(service(shadow, maxReplicas=4))


def test_in_shadow_a_metric_that_only_we_know_is_ours() -> None:
    shadow = {OURS + "scaling": "shadow", KSERVE + "autoscalerClass": "hpa"}
    assert read_policy(service(shadow, scaleMetric="rps", scaleTarget=80)).target == 80.0
    error = error_of(service({**shadow, KSERVE + "autoscalerClass": "external"}, scaleMetric="cpu"))
    assert error.key == "spec.predictor.scaleMetric"
