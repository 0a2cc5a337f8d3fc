"""KServe's side of a cluster: its kinds, its configuration, and a controller that acts on them.

That is `tests.kubernetes.kserve`, a stand-in; or KServe's own, where PILOTLIGHT_KSERVE names a directory that has

    manager                             its controller, built
    config/crd/full/…                   its kinds, as in its repository
    config/configmap/inferenceservice.yaml

KServe's own runs as a process of node 1, like the stand-in, with its webhooks asked by the API server as they are in an
installation of it. What is set in its configuration is what a user sets who wants neither Knative nor Istio, and that a
container without requests asks for less than a whole processor, of which this machine has too few.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.configuration import kubeconfig
from tests.cluster.network import address
from tests.cluster.processes import ClusterError, wait_until

ENVIRONMENT = "PILOTLIGHT_KSERVE"
USER = "kserve"  # its name in the audit log
_DOMAIN = "serving.kserve.io"
_WEBHOOK_PORT = 9443
_SMALL = {"cpuRequest": "10m", "memoryRequest": "32Mi", "cpuLimit": "2", "memoryLimit": "2Gi"}
_TRIED = {
    "apiVersion": f"{_DOMAIN}/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "tried", "namespace": "default"},
    "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "none"}]}},
}


class KServe(Protocol):
    """One of the two."""

    def kinds(self) -> list[Path]:
        """The files that define its kinds."""

    def configuration(self) -> dict[str, str]:
        """What the ConfigMap `inferenceservice-config` has, by key."""

    def start(self, cluster: Cluster) -> None:
        """Start its controller; its kinds and configuration are there. Raises ClusterError."""


def kserve() -> KServe:
    """Whose controller acts, as the environment says. Raises ClusterError where its directory has not what it needs."""
    named = os.environ.get(ENVIRONMENT)
    return Own(Path(named).resolve()) if named else StandIn(Path(__file__).parent / "kserve")


def install(cluster: Cluster, not_copied: Sequence[str] = ()) -> None:
    """Install it and start its controller. `not_copied`: annotations that shall not reach pods, besides its own."""
    install_kinds(cluster)
    side = kserve()
    data = side.configuration()
    inference = json.loads(data["inferenceService"])
    inference["serviceAnnotationDisallowedList"] = [*inference.get("serviceAnnotationDisallowedList", ()), *not_copied]
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kserve"}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "inferenceservice-config", "namespace": "kserve"},
            "data": {**data, "inferenceService": json.dumps(inference)},
        },
    )
    side.start(cluster)


def install_kinds(cluster: Cluster) -> None:
    """Define its kinds and nothing else: nobody acts on them."""
    files = (f"--filename={file}" for file in kserve().kinds())
    # Larger than what `kubectl apply` would write into an annotation.
    cluster.kubectl("apply", "--server-side", "--force-conflicts", *files)
    wait_until(lambda: _well(cluster, "wait", "--for=condition=Established", "crd", "--all"), "KServe's kinds", 60)


@dataclass(frozen=True, slots=True)
class StandIn:
    """Ours: makes the objects that KServe makes, in its order and with its quirks."""

    folder: Path

    def kinds(self) -> list[Path]:
        return [self.folder / "crds.yaml"]

    def configuration(self) -> dict[str, str]:
        data: dict[str, str] = yaml.safe_load((self.folder / "configuration.yaml").read_text())
        return data

    def start(self, cluster: Cluster) -> None:
        argv = [sys.executable, "-m", "tests.kubernetes.kserve", str(kubeconfig(cluster.run, USER))]
        cluster.start_in_node(1, argv, cluster.run / "kserve.log")


class Own:
    """KServe's own, from a directory with what the module says."""

    def __init__(self, directory: Path) -> None:
        """Raises ClusterError."""
        self._manager = directory / "manager"
        self._configuration = directory / "config" / "configmap" / "inferenceservice.yaml"
        self._kinds = directory / "config" / "crd" / "full"
        missing = [str(part) for part in (self._manager, self._configuration, self._kinds) if not part.exists()]
        if missing:
            raise ClusterError(f"{ENVIRONMENT}={directory}: no {', no '.join(missing)}; see tests/cluster/README.md")

    def kinds(self) -> list[Path]:
        found = [*self._kinds.glob(f"{_DOMAIN}_*.yaml"), *self._kinds.glob("clusterstoragecontainer/*.yaml")]
        return sorted(file for file in found if file.name != "kustomization.yaml")

    def configuration(self) -> dict[str, str]:
        data: dict[str, str] = yaml.safe_load(self._configuration.read_text())["data"]
        del data["_example"]
        ingress = {**json.loads(data["ingress"]), "disableIngressCreation": True, "disableIstioVirtualHost": True}
        inference = {**json.loads(data["inferenceService"]), "resource": _SMALL}
        return {
            **data,
            "deploy": json.dumps({"defaultDeploymentMode": "Standard"}),
            "ingress": json.dumps(ingress),
            "inferenceService": json.dumps(inference),
        }

    def start(self, cluster: Cluster) -> None:
        temporary, log = cluster.run / "kserve", cluster.run / "kserve.log"
        certificate = _certificate(temporary / "k8s-webhook-server" / "serving-certs")
        environment = [
            *("env", "POD_NAMESPACE=kserve", f"TMPDIR={temporary}"),
            f"KUBECONFIG={kubeconfig(cluster.run, USER)}",
        ]
        flags = [f"--webhook-port={_WEBHOOK_PORT}", "--metrics-addr=0", "--health-probe-addr=0"]
        cluster.start_in_node(1, [*environment, str(self._manager), *flags], log)
        cluster.apply(*_webhooks(base64.b64encode(certificate.read_bytes()).decode()))
        tried = ("create", "--dry-run=server", "-f", "-")
        wait_until(lambda: _well(cluster, *tried, stdin=json.dumps(_TRIED)), "KServe's webhooks to be asked", 60, log)


def _well(cluster: Cluster, *arguments: str, stdin: str | None = None) -> bool:
    """Whether kubectl does it. (`wait` itself fails on a kind that has no conditions yet.)"""
    try:
        cluster.kubectl(*arguments, stdin=stdin)
    except ClusterError:
        return False
    return True


def _certificate(folder: Path) -> Path:
    """A key pair where its webhook server looks for one; the certificate, which is its own authority."""
    folder.mkdir(parents=True)
    certificate = folder / "tls.crt"
    made = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "tls.key"), "-out", str(certificate)]
    name = ["-subj", "/CN=kserve", "-addext", f"subjectAltName=IP:{address(1)}"]
    subprocess.run(["openssl", "req", "-x509", *made, *name], check=True, capture_output=True)
    return certificate


def _webhooks(authority: str) -> list[dict[str, object]]:
    """Those that it registers, by address instead of by a Service: it runs outside of the cluster's pods."""

    def webhook(name: str, path: str, group: str, version: str, resource: str, **more: object) -> dict[str, Any]:
        operations = ["CREATE"] if resource == "pods" else ["CREATE", "UPDATE"]
        rule = {"apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": [resource]}
        return {
            "name": f"{name}.kserve-webhook-server.{name}",
            "clientConfig": {"url": f"https://{address(1)}:{_WEBHOOK_PORT}{path}", "caBundle": authority},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "rules": [rule],
            **more,
        }

    of_it = {"matchExpressions": [{"key": f"{_DOMAIN}/inferenceservice", "operator": "Exists"}]}
    return [
        _registered("Mutating", "inferenceservice", [
            webhook("defaulter", "/mutate-serving-kserve-io-v1beta1-inferenceservice", _DOMAIN, "v1beta1",
                    "inferenceservices"),
            webhook("pod-mutator", "/mutate-pods", "", "v1", "pods", objectSelector=of_it,
                    reinvocationPolicy="IfNeeded"),
        ]),
        _registered("Validating", "inferenceservice", [
            webhook("validator", "/validate-serving-kserve-io-v1beta1-inferenceservice", _DOMAIN, "v1beta1",
                    "inferenceservices"),
        ]),
        _registered("Validating", "servingruntime", [
            webhook("validator", "/validate-serving-kserve-io-v1alpha1-servingruntime", _DOMAIN, "v1alpha1",
                    "servingruntimes"),
        ]),
    ]  # fmt: skip


def _registered(kind: str, name: str, webhooks: list[dict[str, Any]]) -> dict[str, object]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": f"{name}.{_DOMAIN}"},
        "webhooks": webhooks,
    }
