"""A machine that is lost under load takes along what was in flight on it, told as such, and nothing else."""

from __future__ import annotations

import asyncio

from tests.cluster.cluster import Cluster
from tests.kubernetes.installation import Installation
from tests.kubernetes.managed_service import ManagedService, inference_service
from tests.kubernetes.requests_sent import lost, new_connections, steady, took

LIMIT = 4
MODEL = ("--service-seconds=0.1", f"--slots={LIMIT}")


async def test_a_node_that_is_lost_takes_only_what_was_in_flight_on_it(
    inside: Cluster, installed: Installation
) -> None:
    policy = {"stable-window": "6s", "scale-to-zero-grace-period": "0s"}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"serving.kserve.io/inferenceservice": "noded"}},
    }
    body = inference_service(
        "noded",
        policy=policy,
        arguments=MODEL,
        predictor={"minReplicas": 2, "topologySpreadConstraints": [spread]},
    )
    async with ManagedService(installed, body) as service:
        await service.awake(2)
        enough = asyncio.Event()
        async with new_connections() as session:
            sending = asyncio.create_task(steady(service.infer, 0.05, enough, session, connect_for=30.0))
            await asyncio.sleep(2.0)
            await asyncio.to_thread(inside.kill_node, 2)
            # Until Kubernetes takes the node for lost, and its pods out of Services, which no product can do sooner.
            await asyncio.sleep(15.0)
            enough.set()
            outcomes = await sending
        await asyncio.to_thread(inside.start_node, 2)
        failed = lost(outcomes)
        print(f"\n{len(outcomes)} requests, {took(outcomes)}; failed: {dict(failed)}")
        # In flight on its replica, and on its activator, which has as many at the other replica.
        assert failed.total() <= 2 * LIMIT
        assert {one.status for one in outcomes} <= {200, 502, 0}
        await service.awake(2)
    await asyncio.to_thread(installed.rolled_out)
