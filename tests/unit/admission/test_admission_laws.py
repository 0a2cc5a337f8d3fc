"""Laws of injecting, for any InferenceService: once is enough, there is a way back, and a patch says what edits say."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from admission.edits import Edit, Operation, edited, json_patch
from admission.inject import Injection, remove
from tests.unit.admission.isvcs import (
    injected,
    isvc,
    patched,
    result,
    told,
)

ports: st.SearchStrategy[list[int]] = st.lists(
    st.integers(1, 65_535).filter(lambda port: port not in (8012, 8022)), max_size=1
)
containers: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"image": st.just("m")},
    optional={
        "name": st.sampled_from(["kserve-container", "mine"]),
        "ports": ports.map(lambda numbers: [{"containerPort": number} for number in numbers]),
        "readinessProbe": st.sampled_from([{"httpGet": {"path": "/x"}}, {"tcpSocket": {"port": 1}}, None]),
        "lifecycle": st.sampled_from(
            [None, {}, {"postStart": {"httpGet": {"port": 1}}}, {"preStop": {"sleep": {"seconds": 1}}}]
        ),
        "env": st.just([{"name": "PROTOCOL", "value": "v2"}]),
    },
)
predictors: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "minReplicas": st.integers(0, 3),
        "containerConcurrency": st.integers(0, 9),
        "timeout": st.integers(0, 900),
        "terminationGracePeriodSeconds": st.none() | st.integers(0, 900),
        "deploymentStrategy": st.sampled_from(
            [None, {}, {"type": "Recreate"}, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}]
        ),
        "annotations": st.sampled_from([None, {}, {"serving.kserve.io/autoscalerClass": "external"}]),
    },
)
annotated: st.SearchStrategy[dict[str, str] | None] = st.none() | st.dictionaries(
    st.sampled_from(["pilotlight.dev/scaling"]), st.sampled_from(["on", "shadow"])
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    predictor: dict[str, Any] = dict(draw(predictors))
    if draw(st.booleans()):
        predictor["containers"] = [draw(containers)]
    else:
        predictor["model"] = {**draw(containers), "modelFormat": {"name": "x"}}
        predictor["model"].pop("name", None)
        if draw(st.booleans()):
            predictor["containers"] = draw(st.sampled_from([None, [], [{"name": "beside", "image": "b"}]]))
    body: dict[str, Any] = isvc(draw(annotated), **predictor)
    if draw(st.booleans()):
        body["metadata"]["annotations"] = None
    if draw(st.booleans()):
        body["spec"]["transformer"] = {"containers": [{"name": "t"}]}
    return body


@settings(deadline=None)
@given(objects())
def test_injecting_twice_is_injecting_once(body: dict[str, Any]) -> None:
    assert result(injected(body)).edits == ()


@settings(deadline=None)
@given(objects())
def test_removing_is_the_way_back(body: dict[str, Any]) -> None:
    after = injected(body)
    taken = remove(after)
    assert isinstance(taken, Injection)
    assert edited(after, taken.edits) == body


@settings(deadline=None)
@given(objects())
def test_every_queue_proxy_would_start(body: dict[str, Any]) -> None:
    assert told(injected(body)).listen is not None


@settings(deadline=None)
@given(objects())
def test_the_patch_says_the_same_as_the_edits(body: dict[str, Any]) -> None:
    edits = result(body).edits
    assert patched(edited(body, ()), json_patch(edits)) == edited(body, edits)


def test_a_removal_has_no_value() -> None:
    assert json_patch([Edit(Operation.REMOVE, ("a", "b/c~d", 0))]) == [{"op": "remove", "path": "/a/b~1c~0d/0"}]
