"""What this machine's GPUs do, by NVIDIA's management library. A device that does not say so says None, never 0."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from autoscaler.cluster.interface import GpuMetricsError, NoGpusError
from autoscaler.cluster.local.machine import VISIBLE_DEVICES

Number = TypeVar("Number")


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device: its UUID, the share of the last moment in which it was at work (0..1), and bytes of its memory."""

    uuid: str
    utilization: float | None
    memory_used: int | None
    memory_total: int | None


class DeviceReader(Protocol):
    """Reads devices by the names that CUDA_VISIBLE_DEVICES has for them; None for one that cannot be found."""

    def __call__(self, devices: Collection[str]) -> dict[str, DeviceState | None]:
        """Blocks, for ever when the driver hangs. Raises GpuMetricsError."""
        ...


def read_devices(devices: Collection[str]) -> dict[str, DeviceState | None]:
    """See DeviceReader."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoGpusError(f"no NVIDIA driver: {error}") from None
    try:
        uuids = [
            _text(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))
            for index in range(pynvml.nvmlDeviceGetCount())
        ]
        in_order = len(uuids) == 1 or numbers_follow_the_bus(os.environ)
        return {device: _state(uuid_of(device, uuids, in_order=in_order)) for device in devices}
    except pynvml.NVMLError as error:
        raise GpuMetricsError(f"the NVIDIA driver does not answer: {error}") from None
    finally:
        pynvml.nvmlShutdown()


def numbers_follow_the_bus(environment: Mapping[str, str]) -> bool:
    """Whether replicas number devices as NVML does: told so by the user, or by us where he numbered nothing."""
    order = environment.get("CUDA_DEVICE_ORDER")
    return order == "PCI_BUS_ID" or (order is None and VISIBLE_DEVICES not in environment)


def uuid_of(device: str, uuids: Sequence[str], *, in_order: bool) -> str | None:
    """The UUID of a device that CUDA_VISIBLE_DEVICES names by its number or by (the beginning of) its UUID.

    None where there is none, or several, or where a number may mean another device than NVML's (not `in_order`): the
    numbers of somebody else's GPU would be worse than none.
    """
    if device.isascii() and device.isdigit():
        return uuids[int(device)] if in_order and int(device) < len(uuids) else None
    if device.startswith("MIG-"):
        return device
    fitting = [uuid for uuid in uuids if device.startswith("GPU-") and uuid.startswith(device)]
    return fitting[0] if len(fitting) == 1 else None


def _state(uuid: str | None) -> DeviceState | None:
    import pynvml

    handle: object = None if uuid is None else _said(lambda: pynvml.nvmlDeviceGetHandleByUUID(uuid.encode()))
    if uuid is None or handle is None:
        return None
    percent = _said(lambda: int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu))
    memory = _said(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    return DeviceState(
        uuid,
        None if percent is None else percent / 100.0,
        None if memory is None else int(memory.used),
        None if memory is None else int(memory.total),
    )


def _said(ask: Callable[[], Number]) -> Number | None:
    """A number; None where this kind of device has none, as a MIG instance has no utilization."""
    import pynvml

    try:
        return ask()
    except pynvml.NVMLError:
        return None


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
