"""What GPUs do travels from the driver by the agent's socket to the controller's side, replica by replica."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.cluster.interface import GpuMetricsError, ReplicaPhase
from autoscaler.cluster.local.agent import LocalAgent
from autoscaler.cluster.local.client import LocalCluster
from autoscaler.cluster.local.nvml import DeviceState
from autoscaler.cluster.local.service_spec import read_services
from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.signals.reading import Known, Missing
from tests.integration.local_cluster.tiny_cluster import MACHINE, SERVICE, tiny, until


def driver(devices: Collection[str]) -> dict[str, DeviceState | None]:
    """In the place of NVML, which has no device on most machines that run tests."""
    return {device: DeviceState(f"GPU-{device}", 0.25 * int(device), 10, 40) for device in devices}


async def test_a_replica_is_read_by_the_devices_that_it_was_dealt(tmp_path: Path) -> None:
    machine = replace(MACHINE, gpus=("0", "1", "2"))
    specs = read_services([tiny(resources={"limits": {"nvidia.com/gpu": "2"}})], [], machine, {}, tmp_path)
    agent = LocalAgent(specs, tmp_path / "run", machine, read_gpus=driver)
    await agent.start()
    try:
        async with LocalCluster(str(agent.socket_path)) as cluster:
            gpus = GpuMetrics(cluster, time.time, 10.0)
            await gpus.read()
            assert gpus.readings(SERVICE, [], time.time()).utilization == Missing("no replica is ready")
            agent.scale(SERVICE, 1, ())
            (one,) = await until(agent, lambda replicas: [r.phase for r in replicas] == [ReplicaPhase.READY])
            await gpus.read()
            told = gpus.readings(SERVICE, [one.name], time.time())
            assert isinstance(told.utilization, Known)
            assert isinstance(told.memory, Known)
            assert (told.utilization.value, told.memory.value) == (0.125, 0.25)
            other = gpus.readings(SERVICE, ["tiny-other"], time.time()).utilization
            assert other == Missing("no GPU metric speaks of tiny-other")
    finally:
        await agent.stop(drain_seconds=1.0)


async def test_an_agent_that_is_gone_is_a_reason_and_not_zero(tmp_path: Path) -> None:
    async with LocalCluster(str(tmp_path / "agent.sock")) as cluster:
        with pytest.raises(GpuMetricsError, match="could not be asked for GPUs"):
            await cluster.pod_gpus(time.time)
        gpus = GpuMetrics(cluster, time.time, 10.0)
        await gpus.read()
        reading = gpus.readings(SERVICE, ["tiny-a"], time.time()).utilization
        assert isinstance(reading, Missing)
        assert "could not be asked" in reading.why
