"""What a service's GPUs do, as readings: the mean over the devices of the replicas that are ready.

A replica of which no number was found may be the busy one. So without it the mean is not Known, as it is with load;
and a device that reports nothing is never counted as an idle one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from autoscaler.signals.gpu_series import GpuSample, Quantity
from autoscaler.signals.reading import Known, Missing, Reading, Stale

# Exporters measure every 30 s unless told otherwise, and Prometheus asks them once or twice a minute.
STALE_AFTER_SECONDS = 75.0
# Clocks of machines in one cluster differ by less.
_CLOCKS_DIFFER_SECONDS = 15.0

NOT_READ = Missing("GPU metrics are not read")
_NOBODY = Missing("no replica is ready")


@dataclass(frozen=True, slots=True)
class GpuReadings:
    """Of the devices of all ready replicas: mean share of time at work, mean share of memory in use. 0..1 both."""

    utilization: Reading = NOT_READ
    memory: Reading = NOT_READ


NO_GPU_READINGS = GpuReadings()


@dataclass(frozen=True, slots=True)
class Devices:
    """One quantity of several devices: the sum of their shares, and when the oldest and newest were measured."""

    total: float
    count: int
    oldest: float
    newest: float


@dataclass(frozen=True, slots=True)
class PodGpus:
    """What is known of one pod's devices; None where a device of it does not say, or says no such number."""

    utilization: Devices | None
    memory: Devices | None


@dataclass(frozen=True, slots=True)
class Mean:
    """Of one quantity over several devices; `what` it is, and when the oldest and newest were measured."""

    what: str
    value: float
    oldest: float
    newest: float

    def at(self, now: float) -> Reading:
        """What it is worth now."""
        if self.newest - now > _CLOCKS_DIFFER_SECONDS:
            return Missing(f"{self.what} was measured {self.newest - now:.0f} s from now: clocks differ")
        age = max(0.0, now - self.oldest)
        return Known(self.value, age) if age <= STALE_AFTER_SECONDS else Stale(self.value, age)


@dataclass(frozen=True, slots=True)
class GpuMeans:
    """The readings of a service, but for their age: it is all that changes until the next numbers come."""

    utilization: Mean | Missing
    memory: Mean | Missing

    def at(self, now: float) -> GpuReadings:
        """The readings now."""
        return GpuReadings(_at(self.utilization, now), _at(self.memory, now))


def gpu_means(pods: Mapping[str, PodGpus], ready: Collection[str]) -> GpuMeans:
    """Of a service whose ready replicas are the pods `ready`, each `namespace/name`."""
    if not ready:
        return GpuMeans(_NOBODY, _NOBODY)
    silent = min((pod for pod in ready if pod not in pods), default=None)
    if silent is not None:
        nothing = Missing(f"no GPU metric speaks of {_name(silent)}")
        return GpuMeans(nothing, nothing)
    return GpuMeans(
        _mean({pod: pods[pod].utilization for pod in ready}, "GPU utilization"),
        _mean({pod: pods[pod].memory for pod in ready}, "GPU memory"),
    )


def all_missing(why: str) -> GpuReadings:
    """Neither is known, for one reason."""
    return GpuReadings(Missing(why), Missing(why))


def by_pod(samples: Iterable[GpuSample]) -> dict[str, PodGpus]:
    """What the samples say of each pod.

    Of two that say the same, as two jobs that scrape one exporter give, the newer counts, and of two as new as one
    another the larger.
    """
    pods: dict[str, dict[_Device, _Numbers]] = {}
    for sample in samples:
        numbers = pods.setdefault(sample.pod, {}).setdefault((sample.gpu, sample.part), {})
        kind = (sample.quantity, sample.rank)
        before = numbers.get(kind)
        if before is None or _order(sample) > _order(before):
            numbers[kind] = sample
    return {pod: _pod_gpus(devices) for pod, devices in pods.items()}


_Device = tuple[str, str]
_Numbers = dict[tuple[Quantity, int], GpuSample]
_Share = tuple[float, float]  # 0..1, and when it was measured
_Item = TypeVar("_Item")


def _order(sample: GpuSample) -> tuple[float, float]:
    return sample.at, -1.0 if math.isnan(sample.value) else sample.value


def _pod_gpus(devices: Mapping[_Device, _Numbers]) -> PodGpus:
    """What a GPU in parts says as a whole counts for those parts that do not speak for themselves."""
    in_parts = {gpu for gpu, part in devices if part}
    shares: list[tuple[_Share | None, _Share | None]] = []
    for (gpu, part), numbers in devices.items():
        if not part and gpu in in_parts:
            continue
        whole = devices.get((gpu, ""), {})
        shares.append((_utilization(numbers) or _utilization(whole), _memory(numbers) or _memory(whole)))
    return PodGpus(_devices([busy for busy, _ in shares]), _devices([full for _, full in shares]))


def _utilization(numbers: _Numbers) -> _Share | None:
    """The one of lowest rank; but not one that has ended when another goes on."""
    said = [s for (quantity, _), s in numbers.items() if quantity is Quantity.UTILIZATION and not math.isnan(s.value)]
    newest = max((sample.at for sample in said), default=0.0)
    current = [sample for sample in said if newest - sample.at <= STALE_AFTER_SECONDS]
    best = min(current, key=lambda sample: sample.rank, default=None)
    return None if best is None else (best.value, best.at)


def _memory(numbers: _Numbers) -> _Share | None:
    used, free = numbers.get((Quantity.MEMORY_USED, 0)), numbers.get((Quantity.MEMORY_FREE, 0))
    total = numbers.get((Quantity.MEMORY_TOTAL, 0))
    if used is None or math.isnan(used.value):
        return None
    if total is not None and total.value > 0.0:
        return min(1.0, used.value / total.value), min(used.at, total.at)
    if free is not None and used.value + free.value > 0.0:
        return used.value / (used.value + free.value), min(used.at, free.at)
    return None


def _devices(shares: list[_Share | None]) -> Devices | None:
    said = _all(shares)
    if not said:
        return None
    times = [at for _, at in said]
    return Devices(math.fsum(share for share, _ in said), len(said), min(times), max(times))


def _all(items: Iterable[_Item | None]) -> list[_Item] | None:
    """The items, None when one of them is."""
    whole = list[_Item]()
    for item in items:
        if item is None:
            return None
        whole.append(item)
    return whole


def _mean(pods: Mapping[str, Devices | None], what: str) -> Mean | Missing:
    said = _all(pods.values())
    if said is None:
        silent = min(pod for pod, devices in pods.items() if devices is None)
        return Missing(f"{what} of {_name(silent)} is not reported")
    value = math.fsum(devices.total for devices in said) / sum(devices.count for devices in said)
    return Mean(what, value, min(devices.oldest for devices in said), max(devices.newest for devices in said))


def _at(mean: Mean | Missing, now: float) -> Reading:
    return mean if isinstance(mean, Missing) else mean.at(now)


def _name(pod: str) -> str:
    return pod.partition("/")[2]
