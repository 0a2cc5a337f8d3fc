"""What the webhooks say, from the bytes of a review to the bytes of the answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.review import Request, ReviewError, Verdict, answer, read_review
from admission.webhooks import Surroundings, concerns, mutate, validate
from autoscaler.policy.profiles import read_profiles
from tests.unit.admission.isvcs import injected, isvc, result, sidecar_in

ON = {"pilotlight.dev/scaling": "on"}
MAIN = {"name": "kserve-container", "image": "m"}


def review(body: object, before: object = None, operation: str = "CREATE", **more: object) -> bytes:
    request = {
        "uid": "u-1",
        "operation": operation,
        "kind": {"group": "serving.kserve.io", "version": "v1beta1", "kind": "InferenceService"},
        "object": body,
        "oldObject": before,
        **more,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def asked(body: object, before: object = None, operation: str = "CREATE") -> Request:
    return read_review(review(body, before, operation))


def mutated(body: Mapping[str, object], before: object = None, operation: str = "CREATE") -> Verdict:
    return mutate(asked(body, before, operation), "pilotlight:1", Surroundings())


def test_an_opted_in_object_gets_the_same_as_from_the_command() -> None:
    verdict = mutated(isvc(ON, containers=[MAIN]))
    assert [step["op"] for step in verdict.patch][-1] == "add"
    assert len(verdict.patch) == len(result(isvc(ON, containers=[MAIN])).edits)
    assert any("maxUnavailable" in warning for warning in verdict.warnings)


@pytest.mark.parametrize(
    "body",
    [
        isvc(containers=[MAIN]),
        isvc({"pilotlight.dev/scaling": "off"}, containers=[MAIN]),
        isvc({"pilotlight.dev/target": "0"}, containers=[MAIN]),
        {**isvc(ON, containers=[MAIN]), "metadata": {"annotations": ON, "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {},
        {"metadata": 7, "spec": []},
        None,
        [],
    ],
)
def test_what_did_not_opt_in_is_nobodys_business(body: Any) -> None:
    request = asked(body)
    assert not concerns(request)
    assert mutate(request, "i", Surroundings()) == validate(request, Surroundings()) == Verdict()


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT", "x"])
def test_only_creating_and_updating_is_looked_at(operation: str) -> None:
    assert mutated(isvc(ON, containers=[MAIN]), operation=operation) == Verdict()


def test_the_annotation_may_stand_on_the_predictor() -> None:
    assert mutated(isvc(None, containers=[MAIN], annotations=ON)).patch


def test_an_update_with_the_sidecar_in_place_is_not_changed() -> None:
    body = injected(isvc(ON, containers=[MAIN]))
    del body["spec"]["predictor"]["deploymentStrategy"]
    assert mutated(body, body, "UPDATE") == Verdict()


def test_an_update_that_lost_the_sidecar_gets_the_very_same_back() -> None:
    before = injected(isvc(ON, containers=[MAIN]))
    request = asked(isvc(ON, containers=[MAIN]), before, "UPDATE")
    verdict = mutate(request, "pilotlight:2", Surroundings())
    (appended,) = (
        step["value"] for step in verdict.patch if str(step["path"]).startswith("/spec/predictor/containers/1")
    )
    assert appended == sidecar_in(before)


def test_what_cannot_be_injected_passes_with_a_word() -> None:
    verdict = mutated(isvc(ON, containers=[MAIN], hostNetwork=True))
    assert not verdict.patch
    assert not verdict.denied
    assert "no queue proxy was put in: spec.predictor.hostNetwork" in verdict.warnings[0]


def test_a_limit_that_lags_is_told_to_whoever_edits_it() -> None:
    body = injected(isvc(ON, containerConcurrency=4, containers=[MAIN]))
    body["spec"]["predictor"]["containerConcurrency"] = 8
    assert "--limit=4" in mutated(body, body, "UPDATE").warnings[0]


def test_mistakes_are_refused_in_one_message() -> None:
    body = isvc({**ON, "pilotlight.dev/target": "0", "pilotlight.dev/stable-windw": "1m"}, minReplicas=3, maxReplicas=2)
    denied = validate(asked(body), Surroundings()).denied
    assert denied.startswith("the scaling policy has 3 mistakes:\n")
    assert "did you mean" in denied
    assert "team/chat" not in denied


def test_what_is_refused_is_not_warned_of_as_well() -> None:
    body = injected(isvc({**ON, "pilotlight.dev/target": "4"}, containers=[MAIN]))
    wrong = {**body, "metadata": {**body["metadata"], "annotations": {**ON, "pilotlight.dev/target": "0"}}}
    assert validate(asked(wrong, body, "UPDATE"), Surroundings()).denied
    assert mutated(wrong, body, "UPDATE") == Verdict()
    assert "no queue proxy was put in" in mutated(wrong, wrong, "UPDATE").warnings[0]


def test_mistakes_that_were_there_before_do_not_stand_in_the_way() -> None:
    before = isvc({**ON, "pilotlight.dev/target": "0"}, containers=[MAIN])
    after = isvc({**ON, "pilotlight.dev/target": "0"}, minReplicas=1, containers=[MAIN])
    verdict = validate(asked(after, before, "UPDATE"), Surroundings())
    assert not verdict.denied
    assert "pilotlight.dev/target" in verdict.warnings[0]
    worse = isvc({**ON, "pilotlight.dev/target": "0", "pilotlight.dev/x": "1"}, containers=[MAIN])
    assert "a mistake" in validate(asked(worse, before, "UPDATE"), Surroundings()).denied


def test_an_unknown_profile_is_refused_while_profiles_are_known() -> None:
    body = isvc({**ON, "pilotlight.dev/profile": "fast"}, containers=[MAIN])
    known = Surroundings(profiles=read_profiles({"data": {"interactive": ""}}))
    assert "there are interactive" in validate(asked(body), known).denied
    assert not validate(asked(body), Surroundings(profiles=None)).denied


def test_a_good_policy_passes_without_a_word() -> None:
    assert validate(asked(isvc(ON, containers=[MAIN])), Surroundings()) == Verdict()


# On the wire


def test_an_answer_carries_the_patch_as_the_api_server_wants_it() -> None:
    body = isvc(ON, containers=[MAIN])
    verdict = mutated(body)
    response = json.loads(answer("u-1", verdict))["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u-1", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"])) == list(verdict.patch)


def test_a_denial_says_why() -> None:
    response = json.loads(answer("u", Verdict(denied="no")))["response"]
    assert response == {
        "uid": "u",
        "allowed": False,
        "status": {"code": 422, "reason": "Invalid", "status": "Failure", "message": "no"},
    }


def test_warnings_are_few_and_short() -> None:
    response = json.loads(answer("u", Verdict(warnings=["x" * 1000] * 100)))["response"]
    assert len(response["warnings"]) == 12
    assert max(map(len, response["warnings"])) == 250


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 1_000_000,
        b'{"kind": "AdmissionReview"}',
        review({}).replace(b"v1", b"v1beta1", 1),
        review({}, uid=""),
        review({}, uid="x" * 129),
        review({}, uid=7),
        review({}, uid="a\nb"),
    ],
)
def test_what_is_no_review_is_refused(data: bytes) -> None:
    with pytest.raises(ReviewError):
        read_review(data)


def test_objects_that_are_nested_too_deep_pass_unseen() -> None:
    deep = '{"a":' * 500 + "1" + "}" * 500
    data = review("DEEP").replace(b'"DEEP"', deep.encode())
    request = read_review(data)
    assert request.too_deep
    assert "not looked at" in mutate(request, "i", Surroundings()).warnings[0]
    assert validate(request, Surroundings()) == Verdict()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = (
    ("metadata",),
    ("metadata", "name"),
    ("spec",),
    ("spec", "predictor"),
    ("spec", "predictor", "containers"),
    ("spec", "predictor", "model"),
    ("spec", "predictor", "annotations"),
    ("spec", "predictor", "deploymentStrategy"),
    ("spec", "predictor", "terminationGracePeriodSeconds"),
    ("spec", "predictor", "logger"),
    ("spec", "transformer"),
)
IN_THE_CONTAINER = ("name", "ports", "env", "lifecycle", "readinessProbe", "command", "args", "resources")


@settings(deadline=None, max_examples=300)
@given(json_values, st.sampled_from(PLACES), st.sampled_from(IN_THE_CONTAINER), json_values, st.booleans())
def test_whatever_stands_in_an_object_is_answered(
    value: Any, place: tuple[str, ...], field: str, inner: Any, with_before: bool
) -> None:
    body: dict[str, Any] = isvc(ON, containers=[{**MAIN, field: inner}], annotations=ON)
    before = injected(isvc(ON, containers=[MAIN])) if with_before else None
    holder: Any = body
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    for request in (asked(body, before, "UPDATE"), asked(before or {}, body, "UPDATE")):
        around = Surroundings(runtimes=[{"kind": "ServingRuntime", "metadata": {"name": "x"}, "spec": value}])
        changed = mutate(request, "i", around)
        json.loads(answer(request.uid, changed))
        json.loads(answer(request.uid, validate(request, around)))
