"""The canary's flight: let go, and heard when its cycles are over."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.gateway import gateway
from tests.cluster.processes import wait_until
from tests.kubernetes import canary
from tests.kubernetes.managed_service import inference_service

CYCLES = 20


def fly(cluster: Cluster, seconds: float) -> dict[str, Any]:
    """Let it go, as a process of node 1; what it has seen when it is through. Raises ClusterError after `seconds`."""
    cluster.apply(inference_service(canary.NAME, predictor={"containerConcurrency": 0, "maxReplicas": 1}), _ingress())
    report, log = cluster.run / "canary.json", cluster.run / "canary.log"
    command = [sys.executable, "-m", "tests.kubernetes.canary", str(cluster.kubeconfig), str(report)]
    cluster.start_in_node(1, [*command, str(CYCLES), gateway(cluster)], log)
    wait_until(report.exists, f"{CYCLES} cycles", seconds, log)
    cluster.kubectl("delete", f"inferenceservice/{canary.NAME}", f"ingress/{canary.NAME}", "--wait=false")
    decoded: dict[str, Any] = json.loads(report.read_text())
    return decoded


def _ingress() -> dict[str, object]:
    backend = {"service": {"name": f"{canary.NAME}-predictor", "port": {"number": 80}}}
    rule = {
        "host": canary.GATEWAY_HOST,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": canary.NAME, "namespace": "default"},
        "spec": {"rules": [rule]},
    }
