"""The controller's process on a real cluster: what it shows, what it refuses, and where the time of a start goes."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.processes import wait_until
from tests.cluster.product_image import IMAGE
from tests.kubernetes import predictor_objects as given
from tests.kubernetes.test_cluster_view import ACCOUNT, kserve, name

__all__ = ["kserve", "name"]

_API = "127.0.0.1:17330"
_BROUGHT_UP = 40.0

Explained = dict[str, object]


@pytest.fixture
def controller(kserve: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A controller that leads alone, under exactly the rights that it needs; gives its log."""
    kubeconfig = kserve.credentials("default", ACCOUNT)
    log = tmp_path / "controller.log"
    flags = ["--cluster", f"kubernetes:{kubeconfig}", "--control", f"unix:{tmp_path}/control.sock", "--api", _API]
    process = kserve.start_in_node(1, [sys.executable, "-m", "autoscaler.controller", *flags], log)
    yield log
    process.terminate()
    assert process.wait(timeout=10) == 0


def proxied(name: str, *, replicas: int) -> dict[str, object]:
    """A Deployment whose pods have a model that takes a second to listen, and our queue proxy."""
    made = json.loads(json.dumps(given.deployment(name, replicas=replicas)))
    model, proxy = made["spec"]["template"]["spec"]["containers"]
    model["command"] = ["sh", "-c", "sleep 1; exec httpd -f -p 8080"]
    proxy.update(
        image=IMAGE,
        command=["python", "-m", "queue_proxy"],
        args=[
            *("--name", "$(POD_NAME)", "--listen", "0.0.0.0:8012"),
            *("--admin", "0.0.0.0:8022", "--upstream", "127.0.0.1:8080"),
        ],
        env=[{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        readinessProbe={"httpGet": {"path": "/ready", "port": 8022}, "periodSeconds": 1},
    )
    return dict(made)


def explained(name: str) -> Explained:
    try:
        with urllib.request.urlopen(f"http://{_API}/explain/default/{name}", timeout=5) as answer:
            return dict(json.loads(answer.read()))
    except (urllib.error.URLError, OSError):
        return {}


async def until(cluster: Cluster, name: str, true: Callable[[Explained], bool]) -> Explained:
    found: Explained = {}

    def look() -> bool:
        found.clear()
        found.update(explained(name))
        return bool(found) and true(found)

    await asyncio.to_thread(wait_until, look, f"{name} to be so", _BROUGHT_UP)
    return found


def phases(found: Explained) -> dict[str, dict[str, float]]:
    measured = found["start_phases"]
    assert isinstance(measured, dict)
    return measured


async def test_each_phase_of_a_start_is_measured(kserve: Cluster, controller: Path, name: str) -> None:
    kserve.apply(given.inference_service(name), given.service(name), proxied(name, replicas=0))
    await until(kserve, name, lambda found: found["wanted"] == 0)
    kserve.kubectl("scale", "deployment", f"{name}-predictor", "--replicas=1")
    found = await until(kserve, name, lambda found: "ready" in phases(found))
    measured = {phase: times["last"] for phase, times in phases(found).items()}
    assert list(measured) == ["scheduled", "prepared", "started", "ready"]
    # The model takes a second to listen; when that second began is known to half a second.
    assert 0.4 < measured["ready"] < 10.0
    assert all(0.0 <= seconds < 20.0 for seconds in measured.values())
    total = found["expected_wake_seconds"]
    assert isinstance(total, float)
    assert abs(total - sum(measured.values())) < 1.0


async def test_a_refusal_is_shown_and_becomes_an_event(kserve: Cluster, controller: Path, name: str) -> None:
    kserve.apply(given.inference_service(name), given.service(name), given.deployment(name), given.autoscaler(name))
    found = await until(kserve, name, lambda found: bool(found["refused"]))
    assert str(found["explanation"]).startswith(f"not scaled: HorizontalPodAutoscaler {name}")

    def told() -> bool:
        events = json.loads(kserve.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
        return any(event["reason"] == "OwnedByAnother" and event["regarding"]["name"] == name for event in events)

    wait_until(told, "the event", 10.0)


async def test_a_policy_that_cannot_be_read_becomes_an_event(kserve: Cluster, controller: Path, name: str) -> None:
    annotations = {**given.ANNOTATIONS, "pilotlight.dev/target": "many"}
    kserve.apply(given.inference_service(name, annotations=annotations), given.service(name), given.deployment(name))
    await until(kserve, name, lambda found: bool(found["error"]))

    def told() -> bool:
        described = kserve.kubectl("describe", "inferenceservice", name)
        return "PolicyNotReadable" in described and "pilotlight.dev/target" in described

    wait_until(told, "the event", 10.0)
