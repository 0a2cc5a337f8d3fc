"""Everything a running machine is made of is replaced, again and again, under a steady load; no request is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.integration.main_job.harness import Up, running_up, wait_for

MODEL = Path(__file__).with_name("lean_model.py")
LOAD = Path(__file__).with_name("steady_load.py")
SERVICE = "default/lean"
RATE = 1_000
REQUESTS = 110_000
PAUSE_SECONDS = 1.0

COMPONENTS_NEW = "a new controller and a new activator are at work"
REPLICAS_NEW = "no replica is older than the last order"


def lean_service(replicas: int = 2, **annotations: str) -> dict[str, object]:
    """An InferenceService of lean models."""
    serving = {
        "name": "kserve-container",
        "image": "example.com/lean:1",
        "command": [sys.executable, str(MODEL)],
        "args": ["--port=$(PORT)"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "lean",
            "namespace": "default",
            "annotations": {
                "serving.kserve.io/autoscalerClass": "external",
                "serving.kserve.io/deploymentMode": "Standard",
                "pilotlight.dev/scaling": "on",
                **annotations,
            },
        },
        "spec": {"predictor": {"minReplicas": replicas, "maxReplicas": replicas, "containers": [serving]}},
    }


def roll(up: Up, number: signal.Signals, word: str) -> None:
    """Order it, and wait until it is done."""
    before = up.output.read_text().count(word)
    up.process.send_signal(number)
    wait_for(word, lambda: up.output.read_text().count(word) > before, within=90)


def ready(up: Up) -> set[str]:
    """Names of the replicas that serve."""
    body = up.get(f"/explain/{SERVICE}")
    replicas = body["replicas"] if isinstance(body, dict) else []
    return {replica["name"] for replica in replicas if replica["phase"] == "ready"}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_no_request_of_a_steady_load_is_lost_while_everything_is_replaced(tmp_path: Path) -> None:
    with running_up(tmp_path, [lean_service()], "--drain-seconds", "10") as up:
        wait_for("two replicas", lambda: len(ready(up)) == 2)
        before = ready(up)
        command = [sys.executable, str(LOAD), str(up.ports[SERVICE]), "--rate", str(RATE), "--requests", str(REQUESTS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            rolls = {"activators": 0, "replicas": 0, "policies": 0}
            while load.poll() is None:
                roll(up, signal.SIGUSR1, COMPONENTS_NEW)
                rolls["activators"] += 1
                time.sleep(PAUSE_SECONDS)
                roll(up, signal.SIGUSR2, REPLICAS_NEW)
                rolls["replicas"] += 1
                up.manifest.write_text(
                    yaml.safe_dump(lean_service(2, **{"pilotlight.dev/stable-window": f"{60 + rolls['policies']}s"}))
                )
                roll(up, signal.SIGHUP, "read the files again")
                rolls["policies"] += 1
                time.sleep(PAUSE_SECONDS)
            account = json.loads(load.communicate()[0])
        print(json.dumps({**account, **rolls}))
        assert not before & ready(up)
        assert account["lost"] == 0, account["why"]
        assert account["answered"] == account["sent"] == REQUESTS
        assert account["rate"] > 0.95 * RATE
        # Both ways in which a kept connection ends were met, and often: the load was one that could lose something.
        assert account["told_to_close"] > 100
        assert account["closed_while_idle"] > 100
        assert rolls["activators"] >= 3
        assert rolls["replicas"] >= 3
