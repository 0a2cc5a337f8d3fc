"""The gateway serves a Service through an Ingress, straight to the endpoints."""

import urllib.error
import urllib.request

from tests.cluster.cluster import Cluster
from tests.cluster.gateway import gateway
from tests.cluster.processes import wait_until
from tests.cluster.workload import deployment, service

_HOST = "behind.example.com"


def test_a_gateway_serves_each_endpoint_of_a_service(inside: Cluster) -> None:
    backend = {"service": {"name": "behind", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    ingress: dict[str, object] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "behind", "namespace": "default"},
        "spec": {"rules": [{"host": _HOST, "http": {"paths": [path]}}]},
    }
    url = gateway(inside)
    inside.apply(deployment("behind", replicas=2), service("behind"), ingress)
    seen: set[str] = set()

    def both_answered() -> bool:
        seen.add(_get(url))
        return len(seen - {""}) == 2

    try:
        wait_until(both_answered, "both pods to answer through the gateway", timeout=30)
    finally:
        inside.kubectl("delete", "deployment/behind", "service/behind", "ingress/behind")


def _get(url: str) -> str:
    """The body, or nothing while the gateway has no endpoint."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": _HOST}), timeout=5) as answer:
            body: bytes = answer.read()
    except urllib.error.URLError:
        return ""
    return body.decode()
