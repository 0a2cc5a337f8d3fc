"""ServingRuntimes: which one is chosen, how its container is merged, and its templates."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import Launch, plan_launch


def runtime(
    name: str,
    *formats: Mapping[str, object],
    kind: str = "ClusterServingRuntime",
    namespace: str | None = None,
    container: Mapping[str, object] | None = None,
    **spec: object,
) -> dict[str, object]:
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "supportedModelFormats": list(formats),
            "containers": [{"name": "kserve-container", "command": ["serve", name], **(container or {})}],
            **spec,
        },
    }


def onnx(**fields: object) -> dict[str, object]:
    return {"name": "onnx", "autoSelect": True, **fields}


def launch(model: Mapping[str, object], *runtimes: Mapping[str, object], **metadata: object) -> Launch:
    body = {
        "metadata": {"name": "chat", "namespace": "team", **metadata},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, **model}}},
    }
    return plan_launch(body, runtimes).launch("r", (21000,))


@pytest.mark.parametrize(
    ("model", "runtimes", "chosen"),
    [
        ({"runtime": "b"}, [runtime("a", onnx()), runtime("b")], "b"),
        ({}, [runtime("a"), runtime("b", onnx())], "b"),
        ({}, [runtime("a", {"name": "onnx"}), runtime("b", onnx())], "b"),
        ({}, [runtime("b", onnx()), runtime("a", onnx())], "a"),
        ({}, [runtime("a", onnx()), runtime("b", onnx(priority=2))], "b"),
        ({}, [runtime("a", onnx(priority=9)), runtime("b", onnx(), kind="ServingRuntime", namespace="team")], "b"),
        ({}, [runtime("a", onnx(), kind="ServingRuntime", namespace="other"), runtime("b", onnx())], "b"),
        ({}, [runtime("a", onnx(), disabled=True), runtime("b", onnx())], "b"),
        ({}, [runtime("a", onnx(), multiModel=True), runtime("b", onnx())], "b"),
        ({"protocolVersion": "v2"}, [runtime("a", onnx(), protocolVersions=["v1"]), runtime("b", onnx())], "b"),
        (
            {"modelFormat": {"name": "onnx", "version": "2"}},
            [runtime("a", onnx(version="1")), runtime("b", onnx(version="2"))],
            "b",
        ),
    ],
)
def test_the_runtime_is_chosen_as_kserve_chooses(
    model: Mapping[str, object], runtimes: list[Mapping[str, object]], chosen: str
) -> None:
    assert launch(model, *runtimes).argv == ("serve", chosen)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"runtime": "gone"}, "there is no ServingRuntime 'gone' in the given files (there: a)"),
        ({"modelFormat": {"name": "sklearn"}}, "selects itself for the format sklearn with protocol v1 (there: a)"),
        ({"storage": {"key": "s3"}}, "spec.predictor.model.storage is not supported"),
        ({"storageUri": "hf://org/model"}, "spec.predictor.model.storageUri: 'hf://org/model' is not on this machine"),
    ],
)
def test_a_model_that_no_runtime_can_serve_is_refused(model: Mapping[str, object], message: str) -> None:
    with pytest.raises(LaunchError) as raised:
        launch(model, runtime("a", onnx()))
    assert message in str(raised.value)


def test_the_model_settings_are_merged_over_the_runtimes_container() -> None:
    below = {
        "args": ["--port=8080"],
        "env": [{"name": "A", "value": "runtime"}, {"name": "B", "value": "runtime"}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
    }
    above = {
        "args": ["--fast"],
        "env": [{"name": "B", "value": "model"}],
        "resources": {"limits": {"cpu": "4"}},
    }
    body = {
        "metadata": {"name": "chat"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, **above}}},
    }
    plan = plan_launch(body, [runtime("a", onnx(), container=below)])
    launched = plan.launch("r", (21000,))
    assert launched.argv == ("serve", "a", "--port=21000", "--fast")
    assert (launched.environment["A"], launched.environment["B"]) == ("runtime", "model")
    assert plan.resources == {"cpu": Decimal(4), "memory": Decimal(2**30)}


def test_templates_are_filled_from_the_inference_service() -> None:
    args = ["--model_name={{.Name}}", "{{ .Namespace }}", "{{.Labels.size}}-{{.Annotations.rev}}", "{{ messages }}"]
    chosen = runtime("a", onnx(), container={"args": args})
    launched = launch({"args": ["{{.Name}}"]}, chosen, labels={"size": "7b"}, annotations={"rev": "3"})
    assert launched.argv[2:] == ("--model_name=chat", "team", "7b-3", "{{ messages }}", "chat")


def test_a_template_of_a_label_that_is_not_there_is_refused() -> None:
    with pytest.raises(LaunchError, match=r"uses \{\{.Labels.size\}\}, but the InferenceService has no such entry"):
        launch({}, runtime("a", onnx(), container={"args": ["{{.Labels.size}}"]}))


def test_annotations_of_the_runtime_count_below_those_of_the_service() -> None:
    chosen = runtime(
        "a", onnx(), annotations={"prometheus.kserve.io/port": "8080", "prometheus.kserve.io/path": "/runtime"}
    )
    assert launch({}, chosen).metrics_url == "http://127.0.0.1:21000/runtime"
    own = {"prometheus.kserve.io/path": "/own"}
    assert launch({}, chosen, annotations=own).metrics_url == "http://127.0.0.1:21000/own"


def test_a_custom_predictors_template_stays_and_is_warned_about() -> None:
    container = {"name": "kserve-container", "command": ["serve"], "args": ["--port=8080", "{{.Name}}"]}
    plan = plan_launch({"metadata": {"name": "chat"}, "spec": {"predictor": {"containers": [container]}}}, [])
    assert plan.launch("r", (21000,)).argv[-1] == "{{.Name}}"
    assert any("templates of ServingRuntimes only" in warning for warning in plan.warnings)
