"""What an injection refuses: by name, with what is in the way and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.admission.isvcs import (
    IMAGE,
    MAIN,
    NAME,
    TRITON,
    custom,
    isvc,
    refusals,
)


@pytest.mark.parametrize(
    ("body", "why", "fix"),
    [
        (isvc(containers=[MAIN, {"name": NAME, "image": "t"}]), "no queue proxy", "spec.transformer"),
        (isvc(containers=[{"name": "a"}, {"name": "b"}]), "which of a, b is the model", "name it kserve-container"),
        (isvc(minReplicas=0), "there is no model in it", "write containers, or a model"),
        (
            custom(ports=[{"containerPort": 8080}, {"containerPort": 9000, "name": "grpc"}]),
            "9000 (grpc)",
            "--first-port",
        ),
        (custom(ports=[{"containerPort": 8012}]), "port 8012 is the queue proxy's", "listen on another"),
        (
            isvc(model={"modelFormat": {"name": "x"}, "ports": [{"containerPort": 8080}, {"containerPort": 8022}]}),
            "port 8022 is the queue proxy's",
            "listen on another",
        ),
        (custom(readinessProbe={"httpGet": {"port": "nope"}}), "no container port named 'nope'", ""),
        (custom(readinessProbe={"httpGet": {"path": "a b"}}), "httpGet.path", ""),
        (custom(readinessProbe={"httpGet": {"port": 8012}}), "the model's probe asks port 8012", ""),
        (custom(ports=[{"containerPort": "8080"}]), "containerPort must be a whole number", ""),
        (
            isvc(model={"modelFormat": {"name": "x"}}, workerSpec={"pipelineParallelSize": 2}),
            "several nodes",
            "leave it",
        ),
        (isvc(containers=[MAIN], logger={"mode": "all"}), "spec.predictor.logger", "--request-log"),
        (isvc(containers=[MAIN], batcher={"maxBatchSize": 2}), "spec.predictor.batcher", "leave it out"),
        (isvc(containers=[MAIN], canary=[{"name": "c"}]), "could not be woken", "of its own"),
        (isvc(containers=[MAIN], hostNetwork=True), "on one node", "leave it out"),
        (isvc({"pilotlight.dev/target": "0"}), "pilotlight.dev/target", "allowed:"),
        (isvc({"serving.kserve.io/autoscalerClass": "hpa"}), "HorizontalPodAutoscaler", "write external"),
        (isvc({"serving.kserve.io/deploymentMode": "Knative"}), "deploymentMode", "write Standard"),
        (isvc(containers="x"), "spec.predictor.containers must be a list", ""),
        (isvc(containers=[7]), "spec.predictor.containers[0] must be an object", ""),
        (isvc(containers=[MAIN], volumes="x"), "spec.predictor.volumes must be a list", ""),
        (custom(lifecycle=7), "spec.predictor.containers[0].lifecycle must be an object, not 7", ""),
    ],
)
def test_what_cannot_be_is_refused_by_name_with_what_to_do(body: dict[str, object], why: str, fix: str) -> None:
    text = refusals(body)
    assert why in text
    assert fix in text
    assert text.startswith("team/chat: ")


def test_everything_that_is_in_the_way_is_said_at_once() -> None:
    text = refusals(isvc(containers=[MAIN, {"name": NAME}], logger={"mode": "all"}, hostNetwork=True))
    assert text.count("team/chat: ") == 3


def test_a_runtime_that_has_the_slot_is_refused_too() -> None:
    taken: dict[str, Any] = {**TRITON, "spec": {**TRITON["spec"], "containers": [MAIN, {"name": NAME, "image": "t"}]}}  # type: ignore[dict-item]
    assert "no queue proxy" in refusals(isvc(triton={"storageUri": "x"}), replace(IMAGE, runtimes=[taken]))
