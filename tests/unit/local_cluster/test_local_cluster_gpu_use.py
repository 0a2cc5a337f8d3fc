"""What the agent says of GPUs: devices by the names that replicas know, and nothing said is never zero."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest

from autoscaler.cluster.interface import GpuMetricsError, NoGpusError
from autoscaler.cluster.local import gpu_use
from autoscaler.cluster.local.gpu_use import GpuUse, parse_gpu_use
from autoscaler.cluster.local.nvml import DeviceState, numbers_follow_the_bus, read_devices, uuid_of
from autoscaler.signals.gpu import GpuReadings, by_pod, gpu_means
from autoscaler.signals.reading import Known, Missing

UUIDS = ("GPU-aa11", "GPU-aa22", "GPU-bb33")
NOW = 1_000.0


def states(devices: Collection[str]) -> dict[str, DeviceState | None]:
    known: dict[str, DeviceState | None] = {
        "0": DeviceState("GPU-aa11", 0.9, 30, 120),
        "1": DeviceState("GPU-aa22", 0.1, 90, 120),
        "mig": DeviceState("MIG-1", None, 30, 60),
    }
    return {device: known.get(device) for device in devices}


async def readings(dealt: dict[str, tuple[str, ...]], pod: str) -> GpuReadings:
    samples = parse_gpu_use(await GpuUse(states, lambda: dealt)(), NOW)
    return gpu_means(by_pod(samples), [pod]).at(NOW)


async def test_a_replica_has_the_numbers_of_its_own_devices() -> None:
    dealt = {"default/a": ("0",), "default/b": ("0", "1")}
    assert await readings(dealt, "default/a") == GpuReadings(Known(0.9), Known(0.25))
    assert await readings(dealt, "default/b") == GpuReadings(Known(0.5), Known(0.5))


async def test_an_instance_that_has_no_utilization_has_its_memory() -> None:
    told = await readings({"default/a": ("mig",)}, "default/a")
    assert told == GpuReadings(Missing("GPU utilization of a is not reported"), Known(0.5))


async def test_a_device_that_cannot_be_found_says_nothing() -> None:
    told = await readings({"default/a": ("0", "7")}, "default/a")
    assert told.utilization == Missing("GPU utilization of a is not reported")


async def test_a_replica_without_devices_has_no_readings() -> None:
    told = await readings({"default/a": ("0",)}, "default/cpu")
    assert told.utilization == Missing("no GPU metric speaks of cpu")


async def test_without_a_driver_there_are_none_and_that_is_no_fault() -> None:
    def no_driver(devices: Collection[str]) -> dict[str, DeviceState | None]:
        raise NoGpusError("no NVIDIA driver: not found")

    body = await GpuUse(no_driver, dict)()
    with pytest.raises(NoGpusError, match="no NVIDIA driver: not found"):
        parse_gpu_use(body, NOW)


async def test_a_driver_that_hangs_is_given_up_and_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_use, "_DRIVER_SECONDS", 0.05)
    asked, released = [], threading.Event()

    def hang(devices: Collection[str]) -> dict[str, DeviceState | None]:
        asked.append(devices)
        released.wait(60)
        return {}

    use = GpuUse(hang, lambda: {"default/a": ("0",)})
    try:
        for _ in range(3):
            with pytest.raises(GpuMetricsError, match="the NVIDIA driver did not answer"):
                parse_gpu_use(await use(), NOW)
        assert asked == [["0"]]
    finally:
        released.set()


@pytest.mark.parametrize(
    ("device", "in_order", "uuid"),
    [
        ("0", True, "GPU-aa11"),
        ("2", True, "GPU-bb33"),
        ("3", True, None),
        ("0", False, None),
        ("GPU-bb", False, "GPU-bb33"),
        ("GPU-aa", True, None),
        ("GPU-aa2", True, "GPU-aa22"),
        ("GPU-cc", True, None),
        ("MIG-5", False, "MIG-5"),
        ("", True, None),
        ("-1", True, None),
        ("²", True, None),
    ],
)
def test_a_device_is_found_by_the_name_that_cuda_has_for_it(device: str, in_order: bool, uuid: str | None) -> None:
    assert uuid_of(device, UUIDS, in_order=in_order) == uuid


@pytest.mark.parametrize(
    ("environment", "same"),
    [
        ({}, True),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, True),
        ({"CUDA_VISIBLE_DEVICES": "1,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, True),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, False),
        ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, False),
    ],
)
def test_numbers_are_believed_only_where_they_mean_what_the_driver_means(
    environment: dict[str, str], same: bool
) -> None:
    assert numbers_follow_the_bus(environment) is same


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"gpus": {}},
        {"gpus": ["0"]},
        {"gpus": [{"pod": "default/a"}]},
        {"gpus": [{"pod": "default/a", "gpu": 0}]},
        {"gpus": [{"pod": "default/a", "gpu": "0", "utilization": "much"}]},
        {"gpus": [{"pod": "default/a", "gpu": "0", "utilization": True}]},
        {"gpus": [{"pod": "default/a", "gpu": "0", "memory_used": -1}]},
        {"gpus": [{"pod": "default/a", "gpu": "0", "memory_used": 2**70}]},
        {"error": "the driver is gone"},
    ],
)
def test_an_answer_that_is_none_is_refused(body: object) -> None:
    with pytest.raises(GpuMetricsError):
        parse_gpu_use(body, NOW)


def test_this_machine_either_has_a_driver_or_says_that_it_has_none() -> None:
    why, read = "", dict[str, DeviceState | None]()
    try:
        read = read_devices(["0", "GPU-none"])
    except NoGpusError as error:
        why = str(error)
    assert why.startswith("no NVIDIA driver: ") or (read["GPU-none"] is None and "0" in read)
