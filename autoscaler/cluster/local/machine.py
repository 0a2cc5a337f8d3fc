"""What this machine has, and whether a replica fits on it at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from autoscaler.cluster.local.quantities import show_bytes

GPU_RESOURCE = "nvidia.com/gpu"
VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"


@dataclass(frozen=True, slots=True)
class Machine:
    """The resources that replicas share.

    gpus          devices as CUDA_VISIBLE_DEVICES names them
    gpu_environment  what a replica needs besides CUDA_VISIBLE_DEVICES for these names to mean these devices
    no_gpu_reason why there are none, for messages
    """

    cpus: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()
    gpu_environment: Mapping[str, str] = field(default_factory=dict)
    no_gpu_reason: str | None = None

    def shortages(self, asked: Mapping[str, Decimal]) -> tuple[str, ...]:
        """What one replica asks for beyond what is here: one sentence for each resource."""
        return tuple(sentence for name, amount in asked.items() if (sentence := self._shortage(name, amount)))

    def _shortage(self, name: str, amount: Decimal) -> str | None:
        if name == "cpu":
            lacking = amount > self.cpus
            shown, available = f"{amount.normalize():f}", str(self.cpus)
        elif name == "memory":
            lacking = amount > self.memory_bytes
            shown, available = show_bytes(amount), show_bytes(Decimal(self.memory_bytes))
        elif name == GPU_RESOURCE:
            lacking = amount > len(self.gpus)
            shown, available = f"{amount.normalize():f}", str(len(self.gpus))
            if not self.gpus and self.no_gpu_reason:
                available += f" ({self.no_gpu_reason})"
        elif name in ("ephemeral-storage", "storage"):
            return None
        else:
            lacking, shown, available = amount > 0, f"{amount.normalize():f}", "none of this kind"
        return f"limits beyond the machine: {name}: asked {shown}, available {available}" if lacking else None


def read_machine(environment: Mapping[str, str] | None = None) -> Machine:
    """This machine: processors that this process may use, memory, and GPUs by NVML as far as they are visible to us."""
    environment = os.environ if environment is None else environment
    gpus, reason = _visible_gpus(environment.get(VISIBLE_DEVICES))
    # CUDA numbers devices by speed unless told otherwise, NVML by their place on the bus. Numbers that the user gave
    # us mean what they mean to him.
    order = {} if VISIBLE_DEVICES in environment or _ORDER in environment else {_ORDER: "PCI_BUS_ID"}
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(),
        gpus=gpus,
        gpu_environment=order if gpus else {},
        no_gpu_reason=reason,
    )


def _visible_gpus(visible: str | None) -> tuple[tuple[str, ...], str | None]:
    uuids, reason = _gpu_uuids()
    if not uuids:
        return (), reason
    if visible is None:
        return tuple(str(index) for index in range(len(uuids))), None
    named = select_visible(visible, uuids)
    return named, None if named else f"{VISIBLE_DEVICES}={visible!r} hides all {len(uuids)}"


def select_visible(visible: str, uuids: Sequence[str]) -> tuple[str, ...]:
    """The devices that CUDA_VISIBLE_DEVICES leaves, named as it names them.

    CUDA's rule: entries are numbers or (beginnings of) UUIDs; the first that does not exist ends the list.
    """
    chosen: list[str] = []
    seen: set[str] = set()
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isascii() and entry.isdigit():
            device = uuids[int(entry)] if int(entry) < len(uuids) else None
        elif entry.startswith("MIG-"):
            device = entry
        else:
            fitting = [uuid for uuid in uuids if entry.startswith("GPU-") and uuid.startswith(entry)]
            device = fitting[0] if len(fitting) == 1 else None
        if device is None or device in seen:
            break
        seen.add(device)
        chosen.append(entry)
    return tuple(chosen)


def _gpu_uuids() -> tuple[tuple[str, ...], str | None]:
    """The UUIDs of all devices in NVML's order; or none, and why."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"no NVIDIA driver: {error}"
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        uuids = tuple(_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles)
    except pynvml.NVMLError as error:
        return (), f"the NVIDIA driver does not answer: {error}"
    finally:
        pynvml.nvmlShutdown()
    return uuids, None if uuids else "the NVIDIA driver knows no device"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _memory_bytes() -> int:
    """Memory of the machine, or of the control group that we are in when that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
