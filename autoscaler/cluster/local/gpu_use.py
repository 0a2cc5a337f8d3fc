"""What the devices of each replica do: asked by the agent, which dealt them, told to the controller as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autoscaler.cluster.interface import GpuMetricsError, NoGpusError
from autoscaler.cluster.local.nvml import DeviceReader, DeviceState
from autoscaler.cluster.side_thread import SideThread, StillAskingError
from autoscaler.signals.gpu_series import GpuSample, Quantity

_DRIVER_SECONDS = 3.0


class GpuUse:
    """Answers `GET /gpus`. `dealt` tells which devices each replica, `namespace/name`, has now."""

    def __init__(self, read: DeviceReader, dealt: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._read = read
        self._dealt = dealt
        self._driver = SideThread[dict[str, DeviceState | None]]("ask NVML")

    async def __call__(self) -> dict[str, object]:
        """The body of the answer; what cannot be read is said in it."""
        dealt = self._dealt()
        devices = sorted({device for devices in dealt.values() for device in devices})
        try:
            states = await self._driver.ask(lambda: self._read(devices), _DRIVER_SECONDS)
        except NoGpusError as error:
            return {"none": str(error)}
        except GpuMetricsError as error:
            return {"error": str(error)}
        except (TimeoutError, StillAskingError):
            return {"error": f"the NVIDIA driver did not answer within {_DRIVER_SECONDS:g} s"}
        return {
            "gpus": [
                _device_to_json(pod, device, states.get(device)) for pod, devices in dealt.items() for device in devices
            ]
        }


def _device_to_json(pod: str, device: str, state: DeviceState | None) -> dict[str, object]:
    return {
        "pod": pod,
        "gpu": device if state is None else state.uuid,
        "utilization": None if state is None else state.utilization,
        "memory_used": None if state is None else state.memory_used,
        "memory_total": None if state is None else state.memory_total,
    }


_QUANTITIES = {
    "utilization": Quantity.UTILIZATION,
    "memory_used": Quantity.MEMORY_USED,
    "memory_total": Quantity.MEMORY_TOTAL,
}


def parse_gpu_use(body: object, now: float) -> tuple[GpuSample, ...]:
    """Read such an answer, of `now`. A number that is null is NaN: said to be no number. Raises GpuMetricsError."""
    if not isinstance(body, Mapping):
        raise GpuMetricsError("the agent answered what is not an object")
    if "none" in body:
        raise NoGpusError(str(body["none"]))
    if "error" in body:
        raise GpuMetricsError(str(body["error"]))
    gpus = body.get("gpus")
    if not isinstance(gpus, list):
        raise GpuMetricsError("the agent answered what is not a list of GPUs")
    return tuple(sample for gpu in gpus for sample in _samples(gpu, now))


def _samples(gpu: object, now: float) -> list[GpuSample]:
    if not isinstance(gpu, Mapping) or not isinstance(gpu.get("pod"), str) or not isinstance(gpu.get("gpu"), str):
        raise GpuMetricsError("the agent answered what does not name a replica and its GPU")
    return [
        GpuSample(gpu["pod"], gpu["gpu"], "", quantity, _number(gpu.get(name)), now)
        for name, quantity in _QUANTITIES.items()
    ]


def _number(value: object) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**60:
        raise GpuMetricsError(f"the agent answered what is no number of a GPU: {value!r:.40}")
    return float(value)
