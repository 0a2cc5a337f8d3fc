"""A real inference server, not ours: MLServer with a scikit-learn model, from zero, in KServe's own YAML."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.integration.main_job.harness import running_up, wait_for

ENVIRONMENT = Path(sys.prefix) / "mlserver" / "bin"

TRAIN = """
import sys, joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
rows, kinds = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=1000).fit(rows, kinds)
joblib.dump(model, sys.argv[1] + "/model.joblib")
print(model.predict(rows[[0, 60, 120]]).tolist(), rows[[0, 60, 120]].ravel().tolist(), sep="\\n")
"""


def _runtime() -> dict[str, object]:
    ports = {"MLSERVER_HTTP_PORT": 8080, "MLSERVER_GRPC_PORT": 9000, "MLSERVER_METRICS_PORT": 8082}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "mlserver", "namespace": "default"},
        "spec": {
            "supportedModelFormats": [{"name": "sklearn", "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "seldonio/mlserver:1.7.1",
                    "command": [str(ENVIRONMENT / "mlserver"), "start", "/mnt/models"],
                    "env": [
                        *({"name": name, "value": str(port)} for name, port in ports.items()),
                        {"name": "MLSERVER_MODEL_NAME", "value": "{{.Name}}"},
                        {"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "mlserver_sklearn.SKLearnModel"},
                        {"name": "MLSERVER_MODEL_URI", "value": "/mnt/models/model.joblib"},
                        {"name": "MLSERVER_HOST", "value": "127.0.0.1"},
                        {"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"},
                    ],
                    "ports": [{"containerPort": port} for port in ports.values()],
                    "readinessProbe": {"httpGet": {"path": "/v2/models/{{.Name}}/ready", "port": 8080}},
                }
            ],
        },
    }


def _service(storage: Path) -> dict[str, object]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "iris",
            "namespace": "default",
            "annotations": {"serving.kserve.io/autoscalerClass": "external", "pilotlight.dev/scaling": "on"},
        },
        "spec": {
            "predictor": {
                "minReplicas": 0,
                "maxReplicas": 1,
                "model": {
                    "modelFormat": {"name": "sklearn"},
                    "protocolVersion": "v2",
                    "storageUri": f"file://{storage}",
                },
            }
        },
    }


@pytest.mark.slow
def test_mlserver_answers_its_first_request_from_zero(tmp_path: Path) -> None:
    storage = tmp_path / "model"
    storage.mkdir()
    trained = subprocess.run(
        [str(ENVIRONMENT / "python"), "-c", TRAIN, str(storage)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    expected, rows = (json.loads(line) for line in trained.stdout.splitlines())

    with running_up(tmp_path, [_runtime(), _service(storage)]) as up:
        port = up.ports["default/iris"]
        question = {"inputs": [{"name": "predict", "shape": [3, 4], "datatype": "FP64", "data": rows}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v2/models/iris/infer",
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            outputs = json.load(answer)["outputs"]
        assert outputs[0]["data"] == expected
        wait_for("one ready replica", lambda: up.service("default/iris").get("ready") == 1)
