"""Pilotlight and KServe's side of it, installed in the tests' cluster by the commands that a user gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autoscaler.policy.keys import ANNOTATIONS
from tests.cluster.audit import AuditEvent, service_account
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ClusterError, wait_until
from tests.kubernetes import kserve_side

NAMESPACE = "pilotlight-system"
CONTROLLER, ACTIVATOR, WEBHOOK = "pilotlight-controller", "pilotlight-activator", "pilotlight-webhook"
ADMIN_PORTS = {CONTROLLER: 7330, ACTIVATOR: 7340}
_ROLLED_OUT = "--timeout=90s"
# Into which the webhook would put a queue proxy; nothing is made of it.
_TRIED = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {
        "name": "tried",
        "namespace": "default",
        "annotations": {"pilotlight.dev/scaling": "on", "serving.kserve.io/autoscalerClass": "external"},
    },
    "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "pilotlight/example-server:0.1.0"}]}},
}


class Installation:
    """What is installed, and how a test acts on it."""

    def __init__(self, cluster: Cluster, overlay: str) -> None:
        """Install `manifests/<overlay>`; returns when it is rolled out. Raises ClusterError."""
        self.cluster = cluster
        self.began = cluster.audit.mark()
        # To edit one of our annotations must not restart pods, so they are not copied to them.
        kserve_side.install(cluster, [key.name for key in ANNOTATIONS if key.name.startswith("pilotlight.dev/")])
        cluster.kubectl("apply", "-k", f"manifests/{overlay}")
        self.rolled_out()
        # The webhooks are asked only once the API server has read that they are to be trusted, and reaches them.
        wait_until(self._webhooks_are_asked, "the webhooks to be asked", 30)

    def rolled_out(self) -> None:
        """Wait as a user does, until every Deployment of ours is rolled out."""
        names = self.cluster.kubectl("get", "deployments", "-n", NAMESPACE, "-o", "name").split()
        for name in names:
            try:
                self.cluster.kubectl("rollout", "status", "-n", NAMESPACE, name, _ROLLED_OUT, timeout=100)
            except ClusterError as error:
                raise ClusterError(f"{error}\n{self.logs(name.rpartition('/')[2])}") from error

    def pods(self, component: str) -> list[str]:
        """Names of the pods of a component that are not about to end."""
        return [
            pod["metadata"]["name"]
            for pod in self._get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={component}")["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def leader(self) -> str:
        """The pod of the controller that leads, as the Lease says; empty while none does."""
        holder = self._get("lease", CONTROLLER, "-n", NAMESPACE)["spec"].get("holderIdentity") or ""
        return str(holder).rpartition("_")[0]

    def explain(self, service: str, last: int = 30) -> dict[str, Any]:
        """What the controller that leads says of a service. Raises ClusterError while none does."""
        decoded: dict[str, Any] = json.loads(self._ask(self.leader(), 7330, f"explain/{service}?last={last}"))
        return decoded

    def metrics(self, component: str) -> dict[str, float]:
        """The sums over a component's pods of their series, by name with labels as the exposition has it."""
        sums: dict[str, float] = {}
        for pod in self.pods(component):
            for line in self._ask(pod, ADMIN_PORTS[component], "metrics").splitlines():
                if not line.startswith("#"):
                    series, _, value = line.rpartition(" ")
                    sums[series] = sums.get(series, 0.0) + float(value)
        return sums

    def writes(self, component: str, since: int = 0) -> list[AuditEvent]:
        """What a component has written to the API server since a mark of the audit log."""
        return self.cluster.audit.writes(service_account(NAMESPACE, component), since)

    def logs(self, component: str, lines: int = 60) -> str:
        """The newest lines of a component's pods."""
        try:
            return self.cluster.kubectl(
                "logs", "-n", NAMESPACE, f"deploy/{component}", "--all-pods=true", f"--tail={lines}"
            )
        except ClusterError as error:
            return str(error)

    def _ask(self, pod: str, port: int, path: str) -> str:
        return self.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}/proxy/{path}")

    def _get(self, *arguments: str) -> Mapping[str, Any]:
        decoded: dict[str, Any] = json.loads(self.cluster.kubectl("get", *arguments, "-o", "json"))
        return decoded

    def _webhooks_are_asked(self) -> bool:
        tried = self.cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(_TRIED))
        return "transformer-container" in tried
