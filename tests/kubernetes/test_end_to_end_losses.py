"""What is lost when something dies under load: what was in flight on it, told as such, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.cluster import Cluster
from tests.kubernetes.installation import ACTIVATOR, CONTROLLER, NAMESPACE, WEBHOOK, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service
from tests.kubernetes.requests_sent import burst, lost, new_connections, steady, took

LIMIT = 4
MODEL = ("--service-seconds=0.1", f"--slots={LIMIT}")


def kill_model(name: str) -> None:
    """SIGKILL the model server of that name, wherever it runs: it is a process of this machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if f"--model={name}".encode() in words:
            found.append(int(process.name))
    assert len(found) == 1, found
    os.kill(found[0], signal.SIGKILL)


async def test_a_model_server_that_is_killed_takes_only_what_was_in_flight_on_it(
    inside: Cluster, installed: Installation
) -> None:
    body = inference_service("killed", arguments=MODEL, predictor={"maxReplicas": 1})
    async with ManagedService(installed, body) as service:
        await service.awake(1)
        enough = asyncio.Event()
        async with new_connections() as session:
            sending = asyncio.create_task(steady(service.infer, 0.04, enough, session))
            await asyncio.sleep(1.5)
            await asyncio.to_thread(kill_model, "killed")
            await asyncio.sleep(5.0)
            enough.set()
            outcomes = await sending
        failed = lost(outcomes)
        counted = sum(
            value
            for replica in installed.explain("default/killed")["replicas"]
            if (value := replica["failed"]) is not None
        )
        print(f"\n{len(outcomes)} requests, {took(outcomes)}; failed: {dict(failed)}; counted as failed: {counted}")
        assert 0 < failed.total() <= LIMIT
        assert all(one.status in (200, 502) for one in outcomes), "an honest error, by HTTP"
        assert counted >= failed.total()


@pytest.mark.parametrize("which", ["leader", "follower", "first activator", "second activator", "webhook"])
async def test_a_component_of_ours_that_is_deleted_in_a_wake_loses_nothing(
    inside: Cluster, installed: Installation, which: str
) -> None:
    async with ManagedService(installed, inference_service("parts", arguments=MODEL), keep=True) as service:
        await service.awake_once()
        await service.at_rest()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as pooled:
            waking = asyncio.create_task(burst(service.infer, 60))
            enough = asyncio.Event()
            going_on = asyncio.create_task(steady(service.infer, 0.05, enough, pooled))
            await asyncio.sleep(0.3)
            pod = await asyncio.to_thread(_pod, installed, which)
            await service.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--wait=false")
            woken = await waking
            await asyncio.sleep(7.0)  # until its notice is over, and its doors are closed
            enough.set()
            went_on = await going_on
        print(f"\n{which} {pod} deleted: {took(woken)}; {len(went_on)} on kept connections")
        assert lost(woken) == {}
        assert lost(went_on) == {}
        await asyncio.to_thread(installed.rolled_out)


def _pod(installed: Installation, which: str) -> str:
    match which:
        case "leader":
            return installed.leader()
        case "follower":
            return next(pod for pod in installed.pods(CONTROLLER) if pod != installed.leader())
        case "webhook":
            return installed.pods(WEBHOOK)[0]
        case _:
            return sorted(installed.pods(ACTIVATOR))[0 if which.startswith("first") else -1]
