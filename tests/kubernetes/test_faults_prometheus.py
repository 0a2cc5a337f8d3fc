"""The Prometheus that knows what GPUs do is away: nobody is put to sleep for it, and requests do not notice."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.network import address
from tests.cluster.processes import MARK
from tests.integration.controller.prometheus_server import exporting, line, scraped_by_prometheus
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import Controllers, eventually, restarted
from tests.kubernetes.installation import CONTROLLER, NAMESPACE, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

POLICY = {"stable-window": "2s", "scale-to-zero-grace-period": "0s"}
# Numbers are too old to act on after 75 s; these are nearly that when they come.
LATE_SECONDS = 50.0
STALE_WITHIN = 40.0


async def test_a_prometheus_that_is_away_puts_nobody_to_sleep_and_is_asked_again_when_it_is_back(
    inside: Cluster, installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(inside.run))  # so that what is started here ends with the cluster at the latest
    controllers = Controllers(inside)
    working = inference_service("gpu-works", policy={**POLICY, "gpu-busy": "50%"})
    async with (
        ManagedService(installed, working) as works,
        ManagedService(installed, inference_service("gpu-less", policy=POLICY)) as serves,
        exporting(1) as [(exporter, where)],
        scraped_by_prometheus(tmp_path, [_job(where)], address(1)) as server,
    ):
        await works.awake(1)
        await serves.awake(1)
        exporter.late, exporter.lines = LATE_SECONDS, [_gpu(pod, 90) for pod in await _names(works)]

        async def limited(limit: str) -> bool:
            said = await controllers.explained(works.name, 1)
            return said is not None and any(
                limit == one["name"] for made in said["decisions"] for one in made["limits"]
            )

        async with asking(installed, server.url):
            await controllers.settled()
            steady = Clients(serves.infer)
            async with steady.steadily(every=0.2):
                await eventually(lambda: limited("gpu-busy"), 30.0, "its GPU to be seen at work")
                times, mark = restarted(inside), inside.audit.mark()
                await server.stop(signal.SIGKILL)
                await eventually(lambda: limited("gpu-utilization-unknown"), STALE_WITHIN, "the numbers to be too old")
                assert await works.wanted() == 1
                exporter.lines = [_gpu(pod, 0) for pod in await _names(works)]
                slept_before_it_was_back = controllers.scales(works.name, mark)
                await server.start()
                await works.asleep()
            assert slept_before_it_was_back == []
            assert restarted(inside) == times, "nothing of ours was restarted"
            assert [event for event in controllers.scales(serves.name, mark) if event.replicas == 0] == []
        print(f"\nawake all the while: {steady}")
        assert steady.lost == {}


@asynccontextmanager
async def asking(installed: Installation, url: str) -> AsyncIterator[None]:
    """The controllers ask this Prometheus, by the flag that the component gpu-metrics adds."""
    flag = {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": f"--prometheus={url}"}
    deployment = ("-n", NAMESPACE, f"deployment/{CONTROLLER}")
    await asyncio.to_thread(installed.cluster.kubectl, "patch", *deployment, "--type=json", "-p", json.dumps([flag]))
    try:
        await asyncio.to_thread(installed.rolled_out)
        yield
    finally:
        await asyncio.to_thread(installed.cluster.kubectl, "rollout", "undo", *deployment)
        await asyncio.to_thread(installed.rolled_out)


def _job(where: str) -> dict[str, object]:
    targets = [{"targets": [where]}]
    return {"job_name": "gpus", "metrics_path": "/0/metrics", "honor_labels": True, "static_configs": targets}


def _gpu(pod: str, busy: float) -> str:
    labels = {"gpu": "0", "UUID": f"GPU-{pod}", "pod": pod, "namespace": "default", "container": "kserve-container"}
    return line("DCGM_FI_DEV_GPU_UTIL", busy, **labels)


async def _names(service: ManagedService) -> list[str]:
    return [pod["metadata"]["name"] for pod in await service.pods()]
