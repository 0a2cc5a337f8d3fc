"""Which policy counts for a service: after mistakes, for a new controller, before anything is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.controller.service.faults import FaultKind
from autoscaler.controller.service.policy_in_force import PolicyInForce
from autoscaler.decide.records import PolicyRecord, ReadingsRecord, StartRecord
from autoscaler.policy.profiles import Profiles, following, read_profiles
from autoscaler.policy.scaling_policy import ScalingMode, ScalingPolicy
from tests.unit.controller.controller_builders import control_of, inference_service, replica, stats, view, woken


def test_a_policy_that_reads_no_longer_leaves_the_last_one_in_force() -> None:
    control = control_of(view(isvc=inference_service(target="7")))
    control.viewed(view(isvc=inference_service(target="many"), generation=2), 1_001.0)
    assert control.policy.policy is not None
    assert control.policy.policy.target == 7.0
    assert control.policy.generation == 1
    fault = control.faults.worst
    assert fault is not None
    assert fault.kind is FaultKind.POLICY
    control.viewed(view(isvc=inference_service(target="8"), generation=3), 1_002.0)
    assert control.policy.policy.target == 8.0
    assert control.faults.worst is None


def test_an_edit_of_its_profile_counts_at_once_and_one_with_a_mistake_is_shown_while_the_last_stays() -> None:
    names = view(isvc=inference_service(profile="batch"))
    known = read_profiles({"data": {"batch": "target: 7"}})
    control = control_of(replace(names, profiles=known))
    assert control.policy.policy is not None
    assert control.policy.policy.target == 7.0
    edited = read_profiles({"data": {"batch": "target: 8"}})
    control.viewed(replace(names, profiles=edited), 1_001.0)
    assert control.policy.policy.target == 8.0
    assert [(origin.field, origin.source) for origin in control.policy.origins if origin.text == "8"] == [
        ("target", "profile batch")
    ]
    wrong = following(read_profiles({"data": {"batch": "target: many"}}), edited, ["batch"])
    control.viewed(replace(names, profiles=wrong), 1_002.0)
    assert control.policy.policy.target == 8.0
    fault = control.faults.worst
    assert fault is not None
    assert "many" in fault.message
    # A controller that takes over has no policy of before, but the profiles of before.
    successor = control_of(replace(names, profiles=wrong))
    assert successor.policy.policy == control.policy.policy
    assert successor.policy.mistakes == control.policy.mistakes


def test_what_was_in_force_before_a_mistake_is_in_force_for_every_controller() -> None:
    """Of a setting of the profile's and one of the object's that do not go together, a new controller sees both."""
    own = view(isvc=inference_service(profile="batch", panic_window="31s"))
    first = control_of(replace(own, profiles=read_profiles({"data": {"batch": "target: 7"}})))
    wrong = read_profiles({"data": {"batch": "target: 7\nstable-window: 30s"}})
    first.viewed(replace(own, profiles=wrong), 1_001.0)
    assert first.policy.mistakes
    later = control_of(replace(own, profiles=wrong, recorded_policy=first.policy.record))
    assert later.policy.policy == first.policy.policy
    assert later.policy.mistakes == first.policy.mistakes
    assert later.evaluate(1_002.0) is not None
    right = replace(own, profiles=read_profiles({"data": {"batch": "target: 8"}}), recorded_policy=first.policy.record)
    later.viewed(right, 1_003.0)
    assert later.policy.policy is not None
    assert (later.policy.policy.target, later.policy.mistakes) == (8.0, ())


@pytest.mark.parametrize(
    "recorded", ["", "{", "[]", "7", '{"target":"many"}', '{"of_a_later_version":1}', "[" * 99_999]
)
def test_a_record_that_is_none_leaves_a_service_without_a_policy(recorded: str) -> None:
    control = control_of(replace(view(isvc=inference_service(target="many")), recorded_policy=recorded))
    assert control.policy.policy is None
    assert control.policy.record == ""


@given(st.builds(ScalingPolicy, target=st.floats(0.1, 100.0), min_replicas=st.integers(0, 9)))
def test_what_is_recorded_is_read_back_as_it_was(policy: ScalingPolicy) -> None:
    record = PolicyInForce(policy).record
    assert PolicyInForce().following({"spec": 7}, 1, recorded=record).policy == policy


def test_who_names_a_profile_that_is_not_known_yet_is_left_alone_until_it_is() -> None:
    names = view(replica("a"), isvc=inference_service(profile="batch"))
    control = control_of(replace(names, profiles=Profiles(unread="may not be listed; apply the manifests")))
    control.scraped("a", stats("a", 1_000.0), 1_000.0)
    assert control.evaluate(1_000.0) is None
    assert control.path_order(1_000.0) is None
    assert "profiles are not known yet: may not be listed; apply the manifests" in control.policy.mistakes[0]
    control.viewed(replace(names, profiles=read_profiles({"data": {"batch": "target: 7"}})), 1_001.0)
    assert control.evaluate(1_002.0) is not None
    assert control.faults.worst is None


@pytest.mark.parametrize(
    "isvc", [{}, {"metadata": None}, {"metadata": {"annotations": [1]}}, {"spec": "x", "metadata": 3}]
)
def test_an_object_that_is_no_object_is_a_fault_and_nothing_else(isvc: dict[str, object]) -> None:
    control = control_of(view(isvc=isvc))
    control.evaluate(1_000.0)
    control.route()
    assert control.policy.mode in ScalingMode


def test_a_service_that_never_had_a_policy_is_served_and_not_decided() -> None:
    control = control_of(view(replica("a"), isvc=inference_service(target="many")))
    assert control.evaluate(1_000.0) is None
    assert control.policy.mode is ScalingMode.OFF
    assert len(control.route().endpoints) == 1


def test_a_recording_says_which_policy_counts_before_it_is_decided_by() -> None:
    control = woken()
    first = control.evaluate(1_000.0)
    control.viewed(view(isvc=inference_service(target="7"), generation=2), 1_001.0)
    second, third = control.evaluate(1_002.0), control.evaluate(1_004.0)
    assert first is not None
    assert second is not None
    assert third is not None
    assert isinstance(first.records[0], StartRecord)
    assert isinstance(second.records[0], PolicyRecord)
    assert second.records[0].policy.target == 7.0
    assert isinstance(third.records[0], ReadingsRecord)
