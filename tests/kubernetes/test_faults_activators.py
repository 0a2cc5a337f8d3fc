"""Activators are deleted or die while they hold requests, and a node goes by old rules: what is lost, and what not."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.cluster.cluster import Cluster
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import Controllers, eventually, pods
from tests.kubernetes.installation import ACTIVATOR, NAMESPACE, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

HELD = 100
MODEL = ("--service-seconds=0.1", "--slots=4", "--load-seconds=0.3")
# Requests are still held when their activator is told to end.
SLOW_TO_LOAD = ("--service-seconds=0.1", "--slots=4", "--load-seconds=4")
POLICY = {"stable-window": "6s", "scale-to-zero-grace-period": "1s", "backlog-drain-objective": "2s"}
PROGRAM = "activator"


async def test_all_activators_deleted_at_once_in_a_burst_serve_whom_they_hold_and_are_followed_by_others(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    async with ManagedService(installed, inference_service("handed", policy=POLICY, arguments=SLOW_TO_LOAD)) as service:
        await service.awake(1)
        await controllers.settled()
        await service.asleep()
        await asyncio.sleep(2.0)  # until nobody is led to the pod that ends
        # Whom nobody lets in for a moment has sent nothing yet, and comes again, as clients do.
        clients = Clients(service.infer, connect_for=30.0)
        async with clients.steadily(every=0.15):
            await holds(controllers, service.name, 10)
            await asyncio.to_thread(
                inside.kubectl,
                "delete",
                "pods",
                "-n",
                NAMESPACE,
                "-l",
                f"app.kubernetes.io/name={ACTIVATOR}",
                "--wait=false",
            )
            deleted = time.time()
            await controllers.settled()
            again = time.time() - deleted
            await asyncio.sleep(2.0)
        print(f"\n{clients}\ntwo others are connected {again:.1f} s after both were deleted")
        assert clients.lost == {}


@pytest.mark.parametrize("dying", [1, 2])
async def test_activators_that_die_lose_whom_they_hold_and_nobody_else(
    inside: Cluster, installed: Installation, dying: int
) -> None:
    controllers = Controllers(inside)
    async with ManagedService(
        installed, inference_service("dropped", policy=POLICY, arguments=SLOW_TO_LOAD)
    ) as service:
        await service.awake(1)
        await controllers.settled()
        await service.asleep()
        await asyncio.sleep(2.0)  # until nobody is led to the pod that ends
        before, after = Clients(service.infer), Clients(service.infer)
        async with asyncio.TaskGroup() as group:
            group.create_task(before.burst(HELD))
            await holds(controllers, service.name, HELD)
            died = time.time()
            there = (await asyncio.to_thread(pods, inside, ACTIVATOR)).values()
            for pod in list(there)[:dying]:
                pod.signal(PROGRAM, signal.SIGKILL)
        closed = await until_open(service, died)
        async with after.steadily(every=0.05):
            await asyncio.sleep(8.0)
        await controllers.settled()
        print(f"\nheld by two as {dying} died: {before}\nreached again after {closed:.1f} s; from then on: {after}")
        assert len(before.lost) == 1, "each ended with the connection, and none was answered wrongly"
        lost = sum(before.lost.values())
        assert lost == HELD if dying == 2 else 0 < lost < HELD
        assert after.lost == {}


async def test_a_node_whose_kube_proxy_is_dead_loses_nothing_in_a_wake(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    async with (
        ManagedService(installed, inference_service("stale", policy=POLICY, arguments=MODEL)) as sleeps,
        ManagedService(installed, inference_service("steady", policy=POLICY, arguments=MODEL)) as serves,
    ):
        await sleeps.awake(1)
        await controllers.settled()
        steady, woken = Clients(serves.infer), Clients(sleeps.infer)
        async with steady.steadily(every=0.25):
            await sleeps.asleep()
            await asyncio.sleep(3.0)  # what ends is in no rule any more; that old rules lead to it is Kubernetes' own
            inside.kill("kube-proxy", 1)
            try:
                dead = time.monotonic()
                # All of it over rules that know of no pod: past its wake, and past its activators' leaving.
                async with woken.steadily(every=0.05):
                    await woken.burst(HELD)
                    await asyncio.sleep(max(0.0, dead + 20.0 - time.monotonic()))
            finally:
                inside.start("kube-proxy", 1)
            await woken.burst(10)
        print(f"\nwoken: {woken}\nawake all the while: {steady}")
        assert woken.lost == {}
        assert steady.lost == {}


async def holds(controllers: Controllers, service: str, count: int) -> None:
    """Wait until so many requests are held."""

    async def held() -> bool:
        said = await controllers.explained(service, 0)
        return said is not None and (said["held"] or 0) >= count

    await eventually(held, 20.0, f"{count} requests to be held")


async def until_open(service: ManagedService, since: float) -> float:
    """Seconds until a request is answered again, with one attempt after the other."""

    async def answered() -> bool:
        attempt = Clients(service.infer)
        await attempt.burst(1)
        return not attempt.lost

    await eventually(answered, 30.0, f"{service.name} to answer")
    return time.time() - since
