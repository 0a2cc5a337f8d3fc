"""A real inference server that is not ours, from PyPI, as a predictor: asleep, it is asked, and its answer is right."""

from __future__ import annotations

import time

import aiohttp

from tests.cluster.cluster import Cluster
from tests.cluster.inference_server_image import IMAGE, KINDS, ROWS
from tests.kubernetes.installation import Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

_SETTINGS = {
    "MLSERVER_HTTP_PORT": "8080",
    "MLSERVER_GRPC_PORT": "9000",
    "MLSERVER_METRICS_PORT": "8082",
    "MLSERVER_PARALLEL_WORKERS": "0",
}


def mlserver() -> dict[str, object]:
    """The container, as one writes it who knows nothing of Pilotlight."""
    return {
        "name": "kserve-container",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "env": [{"name": name, "value": value} for name, value in _SETTINGS.items()],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/v2/models/iris/ready", "port": 8080}, "periodSeconds": 1},
    }


async def test_mlserver_answers_rightly_from_zero(inside: Cluster, installed: Installation) -> None:
    async with ManagedService(installed, inference_service("iris", containers=[mlserver()])) as service:
        await service.awake_once(90.0)
        await service.at_rest()
        question = {
            "inputs": [
                {
                    "name": "predict",
                    "shape": [len(ROWS), 4],
                    "datatype": "FP64",
                    "data": [number for row in ROWS for number in row],
                }
            ]
        }
        began = time.monotonic()
        async with aiohttp.ClientSession() as session, session.post(service.infer, json=question) as answer:
            said = await answer.json()
        print(f"\nMLServer from zero: {time.monotonic() - began:.1f} s")
        assert answer.status == 200, said
        assert said["outputs"][0]["data"] == list(KINDS)
