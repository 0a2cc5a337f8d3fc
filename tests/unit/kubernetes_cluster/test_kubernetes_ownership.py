"""Who may be scaled: each reason not to, alone, with a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.cluster.kubernetes.facts import Workload
from autoscaler.cluster.kubernetes.ownership import refusals
from autoscaler.cluster.kubernetes.reduction import (
    deployment_facts,
    inference_service_facts,
    kserve_facts,
    scaler_facts,
    service_facts,
)
from tests.unit.kubernetes_cluster import kubernetes_objects as given


def refused(
    isvc: dict[str, Any] | None = None,
    *,
    deployment: dict[str, object] | None = None,
    service: dict[str, object] | None = None,
    scalers: tuple[dict[str, object], ...] = (),
    kserve: tuple[str, ...] = ("kserve/kserve-controller:v0.20.0",),
) -> dict[str, str]:
    inference_service = inference_service_facts(given.inference_service(**(isvc or {})))
    assert inference_service is not None
    workload = Workload(
        inference_service,
        deployment_facts(deployment or given.deployment()),
        service_facts(service or given.service()),
        tuple(facts for scaler in scalers if (facts := scaler_facts(scaler)) is not None),
        tuple(found for image in kserve if (found := kserve_facts(given.kserve_controller(image))) is not None),
    )
    return {refusal.code: refusal.message for refusal in refusals(workload)}


def annotated(**changed: str | None) -> dict[str, Any]:
    names = {"mode": "serving.kserve.io/deploymentMode", "owner": "serving.kserve.io/autoscalerClass"}
    annotations = {**given.ON, **{names[key]: value for key, value in changed.items() if value is not None}}
    for key, value in changed.items():
        if value is None:
            del annotations[names[key]]
    return {"annotations": annotations}


def test_a_service_as_it_should_be_is_not_refused() -> None:
    assert refused() == {}


@pytest.mark.parametrize(
    ("code", "says", "arguments"),
    [
        ("OwnedByAnother", "delete hpa chat", {"scalers": (given.autoscaler(),)}),
        ("OwnedByAnother", "delete scaledobject chat", {"scalers": (given.scaled_object(),)}),
        ("AutoscalerClassNotExternal", "is not set, which means hpa", {"isvc": annotated(owner=None)}),
        ("AutoscalerClassNotExternal", 'set it to "external"', {"isvc": annotated(owner="keda")}),
        ("DeploymentModeNotStandard", "mode is Knative", {"isvc": annotated(mode="Knative")}),
        (
            "DeploymentModeNotStandard",
            "mode is Serverless",
            {"isvc": {**annotated(mode=None), "status": {"deploymentMode": "Serverless"}}},
        ),
        ("KServeTooOld", "KServe 0.15.0 writes replicas", {"kserve": ("kserve/kserve-controller:v0.15.0",)}),
        ("KServeTooOld", "0.13.1", {"kserve": ("reg:5000/kserve-controller:v0.13.1@sha256:00",)}),
        ("HeadlessService", "headless", {"service": given.service(cluster_ip="None")}),
        ("CanaryAtZero", "minReplicas to 1", {"isvc": {"predictor": {"canaryTrafficPercent": 10}}}),
        ("CanaryAtZero", "canary", {"isvc": {"spec": {"canary": [{"name": "next"}]}}}),
        ("MultiNode", "workerSpec", {"isvc": {"predictor": {"workerSpec": {}}}}),
        ("NoQueueProxy", "pilotlight inject", {"deployment": given.deployment(args=["--model_name=chat"])}),
        (
            "Stopped",
            "serving.kserve.io/stop",
            {"isvc": {"annotations": {**given.ON, "serving.kserve.io/stop": "true"}}},
        ),
    ],
)
def test_each_reason_alone(code: str, says: str, arguments: dict[str, Any]) -> None:
    found = refused(**arguments)
    assert list(found) == [code]
    assert says in found[code]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"isvc": annotated(mode="RawDeployment")}, id="the mode has its older name"),
        pytest.param({"isvc": annotated(mode=None)}, id="the mode is the cluster's"),
        pytest.param(
            {
                "isvc": annotated(owner=None),
                "deployment": given.deployment(annotations={"serving.kserve.io/autoscalerClass": "external"}),
            },
            id="the class comes from the runtime, and KServe merged it",
        ),
        pytest.param(
            {"isvc": {"predictor": {"minReplicas": 1, "canaryTrafficPercent": 10}}}, id="a canary that never sleeps"
        ),
        pytest.param({"kserve": ()}, id="KServe's controller is somewhere else"),
        pytest.param({"kserve": ("kserve/kserve-controller:latest",)}, id="its image does not tell its version"),
        pytest.param({"kserve": ("kserve/kserve-controller:v0.15.1",)}, id="the oldest that will do"),
        pytest.param({"scalers": (given.autoscaler(kind="StatefulSet"),)}, id="an autoscaler of something else"),
    ],
)
def test_what_is_no_reason(arguments: dict[str, Any]) -> None:
    assert refused(**arguments) == {}


def test_several_reasons_are_all_named() -> None:
    found = refused(annotated(owner=None), scalers=(given.autoscaler(),), service=given.service(cluster_ip="None"))
    assert list(found) == ["AutoscalerClassNotExternal", "OwnedByAnother", "HeadlessService"]


def shadowed(**more: object) -> dict[str, Any]:
    return {"annotations": {"pilotlight.dev/scaling": "shadow"}, **more}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"scalers": (given.autoscaler(),)}, id="KServe's own autoscaler goes on"),
        pytest.param({"kserve": ("kserve/kserve-controller:v0.14.0",)}, id="an old KServe"),
        pytest.param({"service": given.service(cluster_ip="None")}, id="a Service that nobody can stand in front of"),
        pytest.param({"isvc": shadowed(predictor={"canaryTrafficPercent": 10})}, id="a canary"),
    ],
)
def test_in_shadow_it_is_decided_whoever_scales(arguments: dict[str, Any]) -> None:
    assert refused(**{"isvc": shadowed(), **arguments}) == {}


def test_in_shadow_too_nothing_is_decided_where_nothing_is_to_be_seen() -> None:
    found = refused(shadowed(), deployment=given.deployment(args=["--model_name=chat"]), scalers=(given.autoscaler(),))
    assert list(found) == ["NoQueueProxy"]
