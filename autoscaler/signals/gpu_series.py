"""The table of GPU metrics: what exporters call them, what they mean, and whose device they speak of.

NVIDIA's DCGM exporter and AMD's device metrics exporter say the same in other words and other units. Both label each
number with the pod that has the device. A Prometheus that gives its own targets `pod` and `namespace` keeps the
exporter's as `exported_pod` and `exported_namespace`: where those are, the others name the exporter itself.

Names: dcgm-exporter, etc/default-counters.csv; ROCm device-metrics-exporter, its list of metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

_MIB = float(2**20)


class Quantity(Enum):
    """What a number says of a device: its share of time at work (0..1), or bytes of its memory."""

    UTILIZATION = "utilization"
    MEMORY_USED = "memory used"
    MEMORY_FREE = "memory free"
    MEMORY_TOTAL = "memory total"


OF_MEMORY = (Quantity.MEMORY_USED, Quantity.MEMORY_FREE, Quantity.MEMORY_TOTAL)


@dataclass(frozen=True, slots=True)
class Series:
    """One row. A number times `scale` is what the quantity counts in.

    rank      of several that say the same of a device, the lowest counts
    prefixed  its exporter can be told to put a prefix before it
    first_partition_only  of a GPU that is cut into partitions, only the first reports it, for all of it
    """

    name: str
    quantity: Quantity
    scale: float
    rank: int = 0
    prefixed: bool = False
    first_partition_only: bool = False


SERIES = (
    Series("DCGM_FI_DEV_GPU_UTIL", Quantity.UTILIZATION, 0.01),
    # A GPU that is cut into MIG instances has no such number as the one above; each instance has this one.
    Series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", Quantity.UTILIZATION, 1.0, rank=1),
    Series("DCGM_FI_PROF_SM_ACTIVE", Quantity.UTILIZATION, 1.0, rank=2),
    Series("DCGM_FI_DEV_FB_USED", Quantity.MEMORY_USED, _MIB),
    Series("DCGM_FI_DEV_FB_FREE", Quantity.MEMORY_FREE, _MIB),
    Series("gpu_gfx_activity", Quantity.UTILIZATION, 0.01, prefixed=True, first_partition_only=True),
    Series("gpu_used_vram", Quantity.MEMORY_USED, _MIB, prefixed=True),
    Series("gpu_free_vram", Quantity.MEMORY_FREE, _MIB, prefixed=True),
    Series("gpu_total_vram", Quantity.MEMORY_TOTAL, _MIB, prefixed=True),
)

USUAL_PREFIX = "amd_"


class GpuTable:
    """The rows by the names under which they may come: with and without `prefix`, where an exporter can have one."""

    def __init__(self, prefix: str = USUAL_PREFIX) -> None:
        self._by_name = {row.name: row for row in SERIES}
        self._by_name |= {prefix + row.name: row for row in SERIES if row.prefixed}

    def row(self, name: str) -> Series | None:
        """The row of a metric of this name; None: it is none of ours."""
        return self._by_name.get(name)

    def names(self, *quantities: Quantity) -> tuple[str, ...]:
        """Every name under which these quantities may come."""
        return tuple(name for name, row in self._by_name.items() if row.quantity in quantities)


@dataclass(frozen=True, slots=True)
class GpuSample:
    """What one device did, as far as the pod is concerned that has it.

    pod       `namespace/name`
    gpu       the physical device; part: which MIG instance or partition of it, "" when it is whole
    value     in the quantity's unit; math.nan where something was said that is no such number
    at        when it was measured, controller's clock
    """

    pod: str
    gpu: str
    part: str
    quantity: Quantity
    value: float
    at: float
    rank: int = 0


def read_samples(table: GpuTable, result: object, to_our_clock: float) -> Iterator[GpuSample]:
    """The newest sample of each series in a `matrix`, as Prometheus answers a query for `metric[2m]`.

    `to_our_clock` is added to its timestamps. What does not name a device of a pod is left out. Raises ValueError for
    what is no matrix.
    """
    if not isinstance(result, list):
        raise ValueError(f"a list of series was expected, not {type(result).__name__}")
    for series in result:
        labels, values = _labels_and_values(series)
        row = table.row(_text(labels, "__name__"))
        if row is None or not values:
            continue
        pod, gpu = _pod(labels), _gpu(labels)
        if not pod or not gpu:
            continue
        part = _part(labels)
        if row.first_partition_only:
            if part.removeprefix("partition ") not in ("", "0"):
                continue
            part = ""
        at, value = _point(values[-1])
        yield GpuSample(pod, gpu, part, row.quantity, _believable(row, value), at + to_our_clock, row.rank)


def _labels_and_values(series: object) -> tuple[Mapping[str, object], list[object]]:
    if isinstance(series, dict):
        labels, values = series.get("metric"), series.get("values")
        if isinstance(labels, dict) and isinstance(values, list):
            return labels, values
    raise ValueError(f"a series has metric and values, not {series!r:.100}")


def _point(point: object) -> tuple[float, float]:
    """A time and a value; NaN and infinity come as words."""
    if isinstance(point, list) and len(point) == 2:
        at, text = point
        if isinstance(at, int | float) and not isinstance(at, bool) and isinstance(text, str) and abs(at) < 1e12:
            try:
                return float(at), float(text)
            except ValueError:
                pass
    raise ValueError(f'a sample is [time, "value"], not {point!r:.100}')


def _believable(row: Series, value: float) -> float:
    """The value in its unit. Exporters write enormous numbers for "not supported" (DCGM 2^31 − 16, AMD 65,535)."""
    scaled = value * row.scale
    if row.quantity is Quantity.UTILIZATION:
        return min(scaled, 1.0) if 0.0 <= scaled <= 1.01 else math.nan
    return scaled if 0.0 <= scaled < 2.0**50 else math.nan


def _pod(labels: Mapping[str, object]) -> str:
    name, namespace = _text(labels, "exported_pod"), _text(labels, "exported_namespace", "namespace")
    if not name and "exported_namespace" not in labels:  # which alone says that this device is no pod's
        name, namespace = _text(labels, "pod"), _text(labels, "namespace")
    return f"{namespace}/{name}" if name and namespace else ""


def _gpu(labels: Mapping[str, object]) -> str:
    known = _text(labels, "UUID", "gpu_uuid", "serial_number")
    if known:
        return known
    index = _text(labels, "gpu", "gpu_id")
    return f"{_text(labels, 'Hostname', 'hostname', 'instance')} {index}" if index else ""


def _part(labels: Mapping[str, object]) -> str:
    instance = _text(labels, "GPU_I_ID")
    if instance:
        return f"instance {instance}"
    partition = _text(labels, "gpu_partition_id")
    return f"partition {partition}" if partition else ""


def _text(labels: Mapping[str, object], *names: str) -> str:
    """The first of these labels that is there and not empty; "" when none is."""
    for name in names:
        text = labels.get(name)
        if text and isinstance(text, str):
            return text
    return ""
