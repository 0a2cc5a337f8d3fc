"""Controllers whose clocks are wrong by half an hour, in either direction: nothing leads, sleeps or wakes wrongly.

They are processes in node 1's network with the controller's own rights; the API server, kubelets, pods and activators
have the right time. The clock that is wrong is the one that tells the time of day; no machine's steady clock jumps.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import USER, Json, eventually, said_at
from tests.kubernetes.installation import ACTIVATOR, CONTROLLER, NAMESPACE, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

MODEL = ("--service-seconds=0.1", "--slots=4", "--load-seconds=0.3")
POLICY = {"stable-window": "6s", "scale-to-zero-grace-period": "1s", "backlog-drain-objective": "2s"}
WRONG_BY = 37 * 60.0
PORTS = {"ahead": 7430, "behind": 7440}
_WITH_A_WRONG_CLOCK = """
import runpy, sys, time
right, wrong_by = time.time, float(sys.argv.pop(1))
time.time = lambda: right() + wrong_by
runpy.run_module("autoscaler.controller", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def wrong_clocks(
    inside: Cluster, installed: Installation, tmp_path: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Two controllers, one ahead of the time and one behind, and no others."""
    kubeconfig = inside.credentials(NAMESPACE, CONTROLLER)
    nodes: Json = json.loads(inside.kubectl("get", "node", "node-1", "-o", "json"))
    address = next(a["address"] for a in nodes["status"]["addresses"] if a["type"] == "InternalIP")
    running: dict[str, subprocess.Popen[bytes]] = {}
    for name, sign in (("ahead", 1.0), ("behind", -1.0)):
        flags = [
            *("--cluster", f"kubernetes:{kubeconfig}", "--lease", f"{NAMESPACE}/{CONTROLLER}", "--identity", name),
            *("--activators", f"{NAMESPACE}/{ACTIVATOR}"),
            *("--api", f"0.0.0.0:{PORTS[name]}", "--control", f"0.0.0.0:{PORTS[name] + 1}"),
        ]
        environment = ["env", f"POD_IP={address}", f"POD_NAMESPACE={NAMESPACE}", f"POD_NAME={name}"]
        command = [*environment, sys.executable, "-c", _WITH_A_WRONG_CLOCK, str(sign * WRONG_BY), *flags]
        running[name] = inside.start_in_node(1, command, tmp_path / f"{name}.log")
    inside.kubectl("scale", "-n", NAMESPACE, f"deployment/{CONTROLLER}", "--replicas=0")
    try:
        yield running
    finally:
        inside.kubectl("scale", "-n", NAMESPACE, f"deployment/{CONTROLLER}", "--replicas=2")
        for process in running.values():
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
        installed.rolled_out()


async def test_a_controller_whose_clock_is_wrong_decides_as_any_other(
    inside: Cluster, installed: Installation, wrong_clocks: dict[str, subprocess.Popen[bytes]]
) -> None:
    steady_body = inference_service("right-time", policy=POLICY, arguments=MODEL)
    async with (
        ManagedService(installed, steady_body) as serves,
        ManagedService(installed, inference_service("wakes-in-time", policy=POLICY, arguments=MODEL)) as sleeps,
    ):
        await serves.awake(1)
        await asyncio.sleep(2.0)  # until every node leads connections to it
        mark = inside.audit.mark()
        steady, woken = Clients(serves.infer), Clients(sleeps.infer)
        async with steady.steadily(every=0.2):
            first = await eventually(leads, 30.0, "one of them to lead")
            took = [await a_wake(first, sleeps, woken)]
            killed = time.time()
            wrong_clocks.pop(first).kill()
            second = await eventually(leads, 15.0, "the other to lead")
            taken_over = time.time() - killed
            took.append(await a_wake(second, sleeps, woken))
        events = [e for e in inside.audit.events(mark, USER) if e.is_write and e.name == f"{serves.name}-predictor"]
        print(f"\n{first} led, was killed, and {second} led {taken_over:.1f} s later; woken: {woken}; steady: {steady}")
        print(f"phases: {took}")
        assert taken_over < 6.2 + 1.0
        assert steady.lost == {}
        assert woken.lost == {}
        assert not [event for event in events if event.replicas == 0]
        # A start is told in seconds, whatever the pods' own times say by other clocks.
        assert all(0.0 <= seconds < 20.0 for phases in took for seconds in phases.values()), took


async def a_wake(leader: str, service: ManagedService, clients: Clients) -> dict[str, float]:
    """Let it go to sleep and wake it; how long the phases of its start took."""
    slept = await service.asleep()
    assert slept > 0.0
    await clients.burst(50)

    async def measured() -> dict[str, float] | None:
        said = await said_at("127.0.0.1", f"/explain/default/{service.name}", PORTS[leader])
        phases = {} if said is None else said.get("start_phases", {})
        return {name: times["last"] for name, times in phases.items()} if "ready" in phases else None

    return await eventually(measured, 10.0, "its start to be measured")


async def leads() -> str | None:
    for name, port in PORTS.items():
        said = await said_at("127.0.0.1", "/healthz", port)
        if said is not None and said["leads"] is True:
            return name
    return None
