"""Reads what GPUs do every ten seconds, for all services at once, and says of each what that comes to.

What was read last stays when nothing more can be read: it grows old, and is Stale when it is too old to act on. Only
what was never read, or is no longer there, is Missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping

from autoscaler.cluster.interface import GpuMetricsError, GpuSource, NoGpusError
from autoscaler.controller.clock import Clock
from autoscaler.signals.gpu import GpuMeans, GpuReadings, PodGpus, all_missing, gpu_means
from autoscaler.signals.reading import Missing, Reading

_log = logging.getLogger(__name__)


class GpuMetrics:
    """The last word of one source. `run` it as long as readings are wanted."""

    def __init__(self, source: GpuSource, clock: Clock, period: float) -> None:
        self._source = source
        self._clock = clock
        self._period = period
        self._pods: Mapping[str, PodGpus] | None = None
        self._means: dict[str, tuple[Collection[str], GpuMeans]] = {}
        self._none: str | None = None
        self.trouble: str | None = None
        self.failures = 0

    async def run(self) -> None:
        """Read, wait, read again; until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await self.read()
            await asyncio.sleep(max(0.0, began + self._period - clock()))

    async def read(self) -> None:
        """Once. What goes wrong is kept in `trouble`, and logged when it is something new."""
        try:
            pods = await self._source.pod_gpus(self._clock)
        except NoGpusError as error:
            self._pods, self._none, self.trouble = None, str(error), None
        except GpuMetricsError as error:
            self._failed(str(error))
        except Exception as error:
            # A fault of a source must not end the readings for good.
            _log.exception("reading GPU metrics")
            self._failed(f"{type(error).__name__} while reading GPU metrics")
        else:
            self._pods, self._means = pods, {}
            if self.trouble is not None:
                _log.info("GPU metrics are read again")
            self.trouble = None

    @property
    def up(self) -> bool | None:
        """Whether what GPUs do can be read; None where there are none, or nothing was read yet."""
        return False if self.trouble is not None else None if self._pods is None else True

    def readings(self, service: str, ready: Collection[str], now: float) -> GpuReadings:
        """Of `namespace/name` whose ready replicas are `ready`."""
        if self._pods is None:
            return all_missing(self.trouble or self._none or "GPU metrics have not been read yet")
        kept = self._means.get(service)
        if kept is None or kept[0] != ready:
            namespace = service.partition("/")[0]
            kept = ready, gpu_means(self._pods, [f"{namespace}/{name}" for name in ready])
            self._means[service] = kept
        readings = kept[1].at(now)
        if self.trouble is None:
            return readings
        return GpuReadings(self._explained(readings.utilization), self._explained(readings.memory))

    def _explained(self, reading: Reading) -> Reading:
        """Of a replica that is newer than what was read last, nothing can be known."""
        return Missing(f"{reading.why}; {self.trouble}") if isinstance(reading, Missing) else reading

    def _failed(self, why: str) -> None:
        self.failures += 1
        if why != self.trouble:
            _log.warning("GPU metrics cannot be read: %s", why)
        self.trouble = why
