"""Pilotlight in the cluster, installed as a user does, before services that `pilotlight inject` has prepared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.kubernetes_wake.model import IMAGE as MODEL_IMAGE
from benchmarks.kubernetes_wake.model import PORT, command
from benchmarks.kubernetes_wake.system import NAMESPACE, Address, Load
from tests.cluster.audit import AuditEvent, service_account
from tests.cluster.cluster import Cluster
from tests.cluster.product_image import IMAGE
from tests.kubernetes.installation import NAMESPACE as SYSTEM_NAMESPACE
from tests.kubernetes.installation import Installation


class Pilotlight:
    """See System."""

    name = "Pilotlight"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._controller = service_account(SYSTEM_NAMESPACE, "pilotlight-controller")

    def install(self) -> None:
        """With KServe's side of it."""
        Installation(self._cluster, "overlays/kserve-standard")

    def apply(self, loads: tuple[Load, ...]) -> None:
        """As InferenceServices with the queue proxy in them."""
        documents = "\n---\n".join(json.dumps(_inference_service(load)) for load in loads)
        argv = [str(Path(sys.executable).with_name("pilotlight")), "inject", "--image", IMAGE, "-f", "-"]
        done = subprocess.run(argv, input=documents, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"pilotlight inject: {done.stderr}")
        self._cluster.kubectl("apply", "-f", "-", stdin=done.stdout)

    def address(self, name: str) -> Address:
        """KServe's Service of the predictor."""
        return Address(f"http://{name}-predictor.{NAMESPACE}.svc.cluster.local/work", {})

    def deployment(self, name: str) -> str:
        return f"{name}-predictor"

    def selector(self, name: str) -> str:
        return f"serving.kserve.io/inferenceservice={name}"

    def decided(self, event: AuditEvent, name: str) -> bool:
        return (
            event.user == self._controller
            and event.resource == "deployments/scale"
            and event.name == self.deployment(name)
            and event.is_write
        )

    def is_proxy(self, command: str, environment: str, pod: str) -> bool:
        return "\0queue_proxy\0" in command and f"\0--name={pod}\0" in command


def _inference_service(load: Load) -> dict[str, object]:
    container = {
        "name": "kserve-container",
        "image": MODEL_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command(load.load_seconds, load.work_seconds),
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
    }
    annotations = {
        "pilotlight.dev/scaling": "on",
        "pilotlight.dev/stable-window": "6s",
        "pilotlight.dev/scale-to-zero-grace-period": "1s",
        "serving.kserve.io/autoscalerClass": "external",
        "serving.kserve.io/deploymentMode": "Standard",
    }
    predictor = {
        "minReplicas": 0,
        "maxReplicas": load.most_replicas,
        "containerConcurrency": 1,
        "containers": [container],
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": load.name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"predictor": predictor},
    }
