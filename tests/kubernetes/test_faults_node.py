"""A node is lost under load with the controller that leads, an activator and a model's replica on it.

What was in flight on it is lost, told as such, and nothing else; how long each is missed is printed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from tests.cluster.cluster import Cluster
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import Controllers, Pod, eventually, pods
from tests.kubernetes.installation import ACTIVATOR, CONTROLLER, NAMESPACE, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

LIMIT = 4
MODEL = ("--service-seconds=0.1", f"--slots={LIMIT}", "--load-seconds=0.3")
POLICY = {"stable-window": "6s", "scale-to-zero-grace-period": "1s", "target-burst-capacity": "0"}
# Pods of models that are lost with a node are lost to Kubernetes' own ways; here it is about ours.
ELSEWHERE = {"nodeSelector": {"kubernetes.io/hostname": "node-1"}}
LOST = 2
# The lease's five seconds and the longest time until somebody looks, twice: there is one node less to do it.
LED_AGAIN_SECONDS = 2 * (5.0 + 1.2)
# The cluster finds a node lost after eight seconds; a connection that nobody answers is given up by clients.
CONNECT_SECONDS = 1.0


async def test_a_lost_node_takes_along_what_was_in_flight_on_it_and_leader_and_activator_are_followed(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    up = inference_service("up-elsewhere", policy=POLICY, predictor=ELSEWHERE, arguments=MODEL)
    down = inference_service("down-elsewhere", policy=POLICY, predictor=ELSEWHERE, arguments=MODEL)
    both = inference_service("on-both", policy=POLICY, predictor=on_both_nodes("on-both"), arguments=MODEL)
    async with (
        ManagedService(installed, up) as serves,
        ManagedService(installed, down) as sleeps,
        ManagedService(installed, both) as halved,
    ):
        await sleeps.awake(1)
        await serves.awake(1)
        await halved.awake(2)
        steady, woken = Clients(serves.infer), Clients(sleeps.infer)
        hit = Clients(halved.infer, connect_for=30.0)
        async with steady.steadily(every=0.2), hit.steadily(every=0.05):
            await spread(inside, controllers)
            other = await leading_on(controllers, LOST)
            dead = next(a for a in (await asyncio.to_thread(pods, inside, ACTIVATOR)).values() if a.node == LOST)
            await sleeps.asleep()
            mark = inside.audit.mark()
            lost = time.time()
            inside.kill_node(LOST)
            try:
                async with asyncio.TaskGroup() as group:
                    leads = group.create_task(since(lost, lambda: leads_now(controllers, other)))
                    dropped = group.create_task(since(lost, lambda: not_named(sleeps, dead.address)))
                    closed = group.create_task(last_closed_door(sleeps, lost))
                await woken.burst(50)
            finally:
                await asyncio.to_thread(inside.start_node, LOST)
            await controllers.settled()
            await halved.awake(2)
        print(f"\nthe other controller led after {leads.result():.1f} s; the lost activator was named for")
        print(f"{dropped.result():.1f} s, and the last connection failed after {closed.result():.1f} s")
        print(f"woken then: {woken}\nawake all the while: {steady}\nwith a replica on the lost node: {hit}")
        assert leads.result() < LED_AGAIN_SECONDS
        assert dropped.result() < 2 * LED_AGAIN_SECONDS
        assert woken.lost == {}
        assert steady.lost == {}
        # In flight on its replica, and on its activator, which has as many at the other replica.
        assert sum(hit.lost.values()) <= 2 * LIMIT
        assert {sent.outcome.status for sent in hit.sent} <= {200, 502, 0}
        assert [event for event in controllers.scales(serves.name, mark) if event.replicas == 0] == []


def on_both_nodes(name: str) -> dict[str, object]:
    """A predictor with a replica on each node."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"serving.kserve.io/inferenceservice": name}},
    }
    return {"minReplicas": 2, "maxReplicas": 2, "topologySpreadConstraints": [spread]}


async def spread(cluster: Cluster, controllers: Controllers) -> None:
    """Have one controller and one activator on each node, as they are when nothing was replaced yet."""
    for component in (CONTROLLER, ACTIVATOR):
        for _ in range(4):
            await controllers.settled()
            found = list((await asyncio.to_thread(pods, cluster, component)).values())
            if len({pod.node for pod in found}) == len(found):
                break
            moved = found[0].name
            await asyncio.to_thread(cluster.kubectl, "delete", "pod", moved, "-n", NAMESPACE, "--wait=false")
        else:
            raise AssertionError(f"{component} does not spread over the nodes")


async def leading_on(controllers: Controllers, node: int) -> Pod:
    """Have a controller on that node lead; the other one is returned."""
    leader, other = await controllers.settled()
    if leader.node == node:
        return other
    leader.signal("autoscaler.controller", signal.SIGTERM)
    await since(time.time(), lambda: leads_now(controllers, other))
    await controllers.settled()
    assert other.node == node, "they are spread over the nodes"
    return leader


async def since(began: float, condition: Callable[[], Awaitable[bool]]) -> float:
    """Wait for it; seconds since then."""
    await eventually(condition, 30.0, "what follows a loss")
    return time.time() - began


async def leads_now(controllers: Controllers, pod: Pod) -> bool:
    said = await controllers.ask(pod, "/healthz")
    return said is not None and said["leads"] is True


async def not_named(service: ManagedService, address: str) -> bool:
    """No slice leads connections of the service to that address."""
    return not any(
        address in endpoint["addresses"]
        for one in await service.slices()
        if one["metadata"]["name"].endswith("-pilotlight")
        for endpoint in one.get("endpoints") or []
    )


async def last_closed_door(service: ManagedService, began: float) -> float:
    """When the last connection failed, after which all did not for two seconds; connections are tried all the time."""
    host = service.url.removeprefix("http://")
    failed = began
    while time.time() < max(failed, began) + 4.0 + CONNECT_SECONDS:
        at = time.time()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host, 80)
            writer.close()
        except (OSError, TimeoutError):
            failed = at
        await asyncio.sleep(0.05)
    return failed - began
