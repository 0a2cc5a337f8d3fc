"""Nobody who looks sees a service go to sleep or wake: a request every 5 ms through 20 cycles, and kept connections."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.gateway import gateway
from tests.cluster.processes import wait_until
from tests.kubernetes import canary
from tests.kubernetes.installation import Installation
from tests.kubernetes.managed_service import inference_service

CYCLES = 20
_SECONDS = 400.0


@pytest.fixture(scope="module")
def report(cluster: Cluster, installed: Installation) -> dict[str, Any]:
    """What 20 cycles came to."""
    cluster.apply(inference_service(canary.NAME, predictor={"containerConcurrency": 0, "maxReplicas": 1}), _ingress())
    url = gateway(cluster)
    path, log = cluster.run / "canary.json", cluster.run / "canary.log"
    _run(cluster, path, log, url)
    wait_until(path.exists, f"{CYCLES} cycles", _SECONDS, log)
    found: dict[str, Any] = json.loads(path.read_text())
    cycles = sorted(found["cycles"])
    cluster.kubectl("delete", f"inferenceservice/{canary.NAME}", f"ingress/{canary.NAME}", "--wait=false")
    print(
        f"\n{len(cycles)} cycles of {cycles[0]:.1f} to {cycles[-1]:.1f} s (median {cycles[len(cycles) // 2]:.1f}):"
        f" {found['work']} requests for work, {found['looks']} looks; failed: {found['failed']}"
    )
    return found


def _run(cluster: Cluster, path: Path, log: Path, url: str) -> None:
    command = [sys.executable, "-m", "tests.kubernetes.canary", str(cluster.kubeconfig), str(path), str(CYCLES), url]
    cluster.start_in_node(1, command, log)


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


@pytest.mark.timeout(500)
def test_it_went_to_zero_and_back_twenty_times(report: dict[str, Any]) -> None:
    assert (report["error"], len(report["cycles"])) == ("", CYCLES)


@pytest.mark.timeout(500)
def test_no_request_by_the_services_address_failed(report: dict[str, Any]) -> None:
    assert report["failed"]["service"] == {}


@pytest.mark.timeout(500)
def test_no_request_through_the_gateway_failed(report: dict[str, Any]) -> None:
    assert report["failed"]["gateway"] == {}
