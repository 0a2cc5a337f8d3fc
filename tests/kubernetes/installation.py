"""Pilotlight and KServe's side of it, installed in the tests' cluster by the commands that a user gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cluster.cluster import Cluster

NAMESPACE = "pilotlight-system"
_KSERVE = Path(__file__).parent / "kserve"
_ROLLED_OUT = "--timeout=90s"


class Installation:
    """What is installed, and how a test acts on it."""

    def __init__(self, cluster: Cluster, overlay: str) -> None:
        """Install `manifests/<overlay>`; returns when it is rolled out. Raises ClusterError."""
        self.cluster = cluster
        for file in ("crds.yaml", "configuration.yaml"):
            cluster.kubectl("apply", "-f", str(_KSERVE / file))
        cluster.kubectl("wait", "--for=condition=established", "crd", "--all")
        self._stand_in: subprocess.Popen[bytes] | None = None
        self.start_kserve()
        cluster.kubectl("apply", "-k", f"manifests/{overlay}")
        self.rolled_out()

    def start_kserve(self) -> None:
        """Start the stand-in for KServe's controller."""
        argv = [sys.executable, "-m", "tests.kubernetes.kserve", str(self.cluster.kubeconfig)]
        self._stand_in = self.cluster.start_in_node(1, argv, self.cluster.run / "kserve.log")

    def stop_kserve(self) -> None:
        """End it, at once."""
        if self._stand_in is not None:
            self._stand_in.kill()
            self._stand_in.wait()

    def rolled_out(self) -> None:
        """Wait as a user does, until every Deployment of ours is rolled out."""
        names = self.cluster.kubectl("get", "deployments", "-n", NAMESPACE, "-o", "name").split()
        for name in names:
            self.cluster.kubectl("rollout", "status", "-n", NAMESPACE, name, _ROLLED_OUT, timeout=100)

    def explain(self, service: str, last: int = 30) -> dict[str, object]:
        """What the controller that leads says of a service, through the API server."""
        path = f"/api/v1/namespaces/{NAMESPACE}/services/pilotlight-controller:api/proxy/explain/{service}?last={last}"
        decoded: dict[str, object] = json.loads(self.cluster.kubectl("get", "--raw", path))
        return decoded
