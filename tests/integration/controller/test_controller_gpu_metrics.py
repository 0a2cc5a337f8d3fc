"""What GPUs do, read from a real Prometheus that scrapes exporters which speak as DCGM's and AMD's do."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from activator.messages import StatsPush
from autoscaler.controller.loop import Controller
from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.readings.prometheus_gpus import PrometheusGpus
from autoscaler.controller.service_report import summary
from autoscaler.controller.settings import Cadence, PrometheusAddress
from autoscaler.decide.decision import LimitName
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from tests.integration.controller.controller_process import eventually
from tests.integration.controller.prometheus_server import (
    Exporter,
    Prometheus,
    exporting,
    line,
    scraped_by_prometheus,
)
from tests.unit.controller.controller_builders import CHAT, MemoryCluster, inference_service, replica, stats, view

_NVIDIA = {"gpu": "0", "modelName": "NVIDIA H100 80GB HBM3", "Hostname": "node-1", "container": "kserve-container"}
_MIG = {**_NVIDIA, "GPU_I_PROFILE": "1g.10gb"}
_AMD = {"gpu_id": "0", "card_model": "MI300X", "hostname": "node-2", "gpu_partition_id": "0"}


def dcgm_page(busy: float, pod: str = "chat-a") -> list[str]:
    one = {**_NVIDIA, "UUID": "GPU-1", "pod": pod, "namespace": "default"}
    idle = {**_NVIDIA, "UUID": "GPU-9", "pod": "", "namespace": ""}
    return [
        "# TYPE DCGM_FI_DEV_GPU_UTIL gauge",
        line("DCGM_FI_DEV_GPU_UTIL", busy, **one),
        line("DCGM_FI_DEV_GPU_UTIL", 0, **idle),
        "# TYPE DCGM_FI_DEV_FB_USED gauge",
        line("DCGM_FI_DEV_FB_USED", 20_000, **one),
        "# TYPE DCGM_FI_DEV_FB_FREE gauge",
        line("DCGM_FI_DEV_FB_FREE", 60_000, **one),
    ]


def mig_page() -> list[str]:
    pod = {"pod": "sliced-a", "namespace": "default"}
    return [
        line("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0.9, **_MIG, UUID="GPU-2", GPU_I_ID="1", **pod),
        line("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0.1, **_MIG, UUID="GPU-2", GPU_I_ID="2", **pod),
        line(
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
            "NaN",
            **_MIG,
            UUID="GPU-2",
            GPU_I_ID="3",
            pod="silent-a",
            namespace="default",
        ),
    ]


def amd_page() -> list[str]:
    pod = {"pod": "amd-a", "namespace": "default"}
    return [
        line("amd_gpu_gfx_activity", 25, gpu_uuid="x-1", **_AMD, **pod),
        line("amd_gpu_used_vram", 96_000, gpu_uuid="x-1", **_AMD, **pod),
        line("amd_gpu_total_vram", 192_000, gpu_uuid="x-1", **_AMD, **pod),
    ]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[Prometheus, GpuMetrics, Exporter, Exporter]]:
    """Two exporters: one whose labels Prometheus renames, and one whose labels it honors."""
    async with exporting(2) as [(renamed, where), (honored, _)]:
        renamed.lines, honored.lines = dcgm_page(93), [*mig_page(), *amd_page()]
        targets = [{"targets": [where], "labels": {"pod": "exporter-x", "namespace": "gpu-operator"}}]
        jobs: list[dict[str, object]] = [
            {"job_name": "renamed", "metrics_path": "/0/metrics", "static_configs": targets},
            {"job_name": "honored", "metrics_path": "/1/metrics", "honor_labels": True, "static_configs": targets},
        ]
        async with scraped_by_prometheus(folder, jobs) as server:
            gpus = GpuMetrics(PrometheusGpus(PrometheusAddress(server.url), seconds=2.0), time.time, 0.2)
            yield server, gpus, renamed, honored


async def reading_once(gpus: GpuMetrics, condition: Callable[[], bool]) -> None:
    async def met() -> bool:
        await gpus.read()
        return condition()

    await eventually("a reading", met)


def utilization(gpus: GpuMetrics, service: str = CHAT, name: str = "chat-a", later: float = 0.0) -> Reading:
    return gpus.readings(service, [name], time.time() + later).utilization


async def test_each_service_gets_its_readings_from_two_queries_for_all(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, gpus, _, _):
        await reading_once(gpus, lambda: isinstance(utilization(gpus), Known))
        await reading_once(gpus, lambda: isinstance(utilization(gpus, "default/amd", "amd-a"), Known))
        read = {
            name: gpus.readings(f"default/{name}", [f"{name}-a"], time.time()) for name in ("chat", "sliced", "amd")
        }
        shares = {name: (_value(readings.utilization), _value(readings.memory)) for name, readings in read.items()}
        assert shares == {"chat": (0.93, 0.25), "sliced": (0.5, None), "amd": (0.25, 0.5)}
        assert isinstance(read["chat"].utilization, Known)
        assert utilization(gpus, "default/silent", "silent-a") == Missing("GPU utilization of silent-a is not reported")
        assert utilization(gpus, "default/none", "none-a") == Missing("no GPU metric speaks of none-a")


async def test_a_number_grows_old_by_when_it_was_scraped_and_not_by_when_it_was_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, gpus, renamed, _):
        await reading_once(gpus, lambda: isinstance(utilization(gpus), Known))
        renamed.well = False
        await reading_once(gpus, lambda: _age(utilization(gpus)) > 3.0)
        assert gpus.trouble is None
        assert isinstance(utilization(gpus, "default/amd", "amd-a"), Known)
        assert _age(utilization(gpus, "default/amd", "amd-a")) < _age(utilization(gpus))


@pytest.mark.slow
async def test_prometheus_stops_and_comes_back(tmp_path: Path) -> None:
    async with world(tmp_path) as (server, gpus, renamed, _):
        await reading_once(gpus, lambda: isinstance(utilization(gpus), Known))
        await server.stop(signal.SIGKILL)
        await gpus.read()
        assert gpus.trouble == f"{server.url} cannot be asked: Connection refused"
        assert gpus.up is False
        assert isinstance(utilization(gpus), Known)
        assert utilization(gpus, later=100.0) == Stale(0.93, pytest.approx(100.0, abs=10.0))  # type: ignore[arg-type]
        newer = utilization(gpus, name="chat-b")
        assert isinstance(newer, Missing)
        assert newer.why.endswith("Connection refused")
        renamed.lines = dcgm_page(10)
        await server.start()
        await reading_once(gpus, lambda: _value(utilization(gpus)) == 0.1)
        assert gpus.up is True


async def test_busy_gpus_keep_a_service_awake_until_they_are_idle(tmp_path: Path) -> None:
    isvc = inference_service(gpu_busy="50%", stable_window="1s", scale_to_zero_grace_period="0s")
    cluster = MemoryCluster(view(replica(admin_port=None), isvc=isvc))
    async with world(tmp_path) as (_, gpus, renamed, _), controlling(cluster, gpus) as controller:

        def decided(limit: LimitName) -> Callable[[], Awaitable[bool]]:
            async def met() -> bool:
                control = controller.services.get(CHAT)
                latest = None if control is None else control.history.latest
                return latest is not None and any(made.name is limit and made.before == 0 for made in latest.limits)

            return met

        async def at_zero() -> bool:
            return any(replicas == 0 for _, _, replicas, _ in cluster.orders)

        await eventually("the guard", decided(LimitName.GPU_BUSY))
        control = controller.services[CHAT]
        assert summary(control, time.time())["gpu_utilization"] == 0.93
        assert summary(control, time.time())["gpu_memory"] == 0.25
        page = (await controller.metrics_text()).decode()
        assert 'pilotlight_gpu_utilization_ratio{namespace="default",service="chat"} 0.93' in page
        assert 'pilotlight_reading_age_seconds{namespace="default",reading="gpu_memory",service="chat"}' in page
        assert "pilotlight_gpu_metrics_up 1.0" in page
        assert not await at_zero()
        renamed.lines = dcgm_page(0)
        await eventually("zero", at_zero)


@asynccontextmanager
async def controlling(cluster: MemoryCluster, gpus: GpuMetrics) -> AsyncIterator[Controller]:
    """A controller whose one replica and activator report every half second that nothing is asked of them."""
    cadence = Cadence(evaluation=0.2, gpus=0.2, activator_connect=0.1, first_scrapes=0.1)
    controller = Controller(cluster, None, time.time, cadence, "epoch", gpus)

    async def tell() -> None:
        controller.activator_connected("main")
        while True:
            controller.scraped(CHAT, "chat-a", stats("chat-a", time.time()))
            controller.activator_pushed("main", StatsPush(False, {CHAT: stats("activator/main", time.time())}))
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(controller.run()), asyncio.create_task(tell())]
    try:
        yield controller
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _value(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Known) else None


def _age(reading: Reading) -> float:
    return -1.0 if isinstance(reading, Missing) else reading.age
