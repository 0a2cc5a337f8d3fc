"""The canonical form: what is written is read back equal, and what was edited badly is refused by field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policy import keys
from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import (
    Aggregation,
    Bounds,
    HoldPolicy,
    Improvements,
    Metric,
    RequestTimeouts,
    ScalingMode,
    ScalingPolicy,
    Switch,
)
from tests.unit.policy.services import KNATIVE, service

_SECONDS = st.floats(1, 3600)
POLICIES = st.builds(
    ScalingPolicy,
    mode=st.sampled_from(ScalingMode),
    metric=st.sampled_from(Metric),
    target=st.floats(0.01, 1e9),
    target_utilization=st.floats(0.01, 1),
    container_concurrency=st.integers(0, 1000),
    min_replicas=st.integers(0, 100),
    max_replicas=st.integers(0, 100),
    initial_scale=st.integers(0, 100),
    asleep_at_first=st.booleans(),
    activation_scale=st.integers(1, 100),
    stable_window_seconds=st.integers(1, 3600).map(float),
    panic_window_fraction=st.floats(0.001, 1),
    panic_threshold=st.floats(1.1, 10),
    max_scale_up_rate=st.floats(1, 1e9, exclude_min=True),
    max_scale_down_rate=st.floats(1, 1e9, exclude_min=True),
    scale_down_delay_seconds=st.integers(0, 3600).map(float),
    scale_to_zero=st.booleans(),
    scale_to_zero_grace_seconds=_SECONDS,
    scale_to_zero_retention_seconds=_SECONDS,
    progress_deadline_seconds=_SECONDS,
    target_burst_capacity=st.just(-1.0) | st.floats(0, 1e9),
    aggregation=st.sampled_from(Aggregation),
    backlog_drain_seconds=_SECONDS,
    stale_after_seconds=st.floats(2, 600),
    queue=st.builds(Bounds, requests=st.integers(0, 1000), seconds=_SECONDS),
    hold=st.builds(
        HoldPolicy,
        requests=st.integers(1, 10**6),
        bytes=st.integers(1024, 2**40),
        no_endpoint_seconds=_SECONDS,
        full_seconds=_SECONDS,
        priority_header=st.sampled_from(Switch),
        tenant_header=st.sampled_from(("", "x-tenant", "authorization")),
    ),
    timeouts=st.builds(RequestTimeouts, total=_SECONDS, response_start=_SECONDS, idle=_SECONDS),
    improvements=st.builds(Improvements, st.booleans(), st.booleans(), st.booleans()),
)


@given(POLICIES)
def test_a_policy_that_went_through_json_is_the_same(policy: ScalingPolicy) -> None:
    written = json.dumps(policy_to_json(policy), allow_nan=False)
    back = policy_from_json(json.loads(written))
    assert back == policy
    assert json.dumps(policy_to_json(back)) == written


def test_types_come_back_even_where_json_has_only_numbers() -> None:
    body = policy_to_json(ScalingPolicy()) | {"stable_window_seconds": 30, "min_replicas": 3.0}
    policy = policy_from_json(body)
    assert isinstance(policy.stable_window_seconds, float)
    assert isinstance(policy.min_replicas, int)


def test_a_field_that_is_missing_has_its_default() -> None:
    assert policy_from_json({"hold": {"requests": 5}}) == ScalingPolicy(hold=HoldPolicy(requests=5))


def test_what_a_service_says_survives_too() -> None:
    policy = read_policy(service({KNATIVE + "window": "90s", KNATIVE + "panic-window-percentage": "33.3"}))
    assert policy_from_json(json.loads(json.dumps(policy_to_json(policy)))) == policy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "maybe"),
        ("metric", 3),
        ("target", math.nan),
        ("target", math.inf),
        ("target", "100"),
        ("target", None),
        ("target", True),
        ("min_replicas", -1),
        ("min_replicas", 2.5),
        ("min_replicas", 10**400),
        ("scale_to_zero", 1),
        ("stable_window_seconds", 0),
        ("panic_window_fraction", 0),
        ("panic_window_fraction", 1.01),
        ("target_burst_capacity", -2),
        ("hold", 3),
        ("surprise", 3),
    ],
)
def test_a_recorded_policy_that_cannot_be_is_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(PolicyErrors) as caught:
        policy_from_json(policy_to_json(ScalingPolicy()) | {field: value}, "run.jsonl:3")
    (error,) = caught.value.errors
    assert (error.key, str(error.source)) == (field, "run.jsonl:3")


def test_every_wrong_field_is_named_with_its_group() -> None:
    with pytest.raises(PolicyErrors) as caught:
        policy_from_json({"hold": {"requests": 0, "bites": 3}, "timeouts": {"idle": -1}, "target": 0})
    assert {error.key for error in caught.value.errors} == {"hold.requests", "hold.bites", "timeouts.idle", "target"}


@pytest.mark.parametrize("body", [None, [], "policy", 3])
def test_what_is_no_object_is_no_policy(body: object) -> None:
    with pytest.raises(PolicyErrors, match="is not an object"):
        policy_from_json(body)


def _fields(group: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    assert is_dataclass(group)
    for field in fields(group):
        value: object = getattr(group, field.name)
        if is_dataclass(value):
            yield from _fields(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value


def test_every_field_of_a_policy_has_a_key_whose_bounds_hold_its_default() -> None:
    for name, default in _fields(ScalingPolicy()):
        assert keys.within_bounds(name, getattr(default, "value", default)), name
