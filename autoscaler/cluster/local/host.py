"""Host: what the replicas of a run share: devices, ports, the process table, clocks and the folder for logs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

import aiohttp

from autoscaler.cluster.local.gpus import GpuPool
from autoscaler.cluster.local.log_file import rotated
from autoscaler.cluster.local.machine import VISIBLE_DEVICES, Machine
from autoscaler.cluster.local.port_range import PortRange
from autoscaler.cluster.local.processes import Processes

_LOGS_KEPT = 200


class Host:
    """The shared things of one run. `clock` is monotonic; `wall_clock` counts from 1970 and is for people."""

    def __init__(
        self,
        machine: Machine,
        processes: Processes,
        logs: Path,
        http: aiohttp.ClientSession,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.machine = machine
        self.processes = processes
        self.http = http
        self.clock = clock
        self.wall_clock = wall_clock
        self.ports = PortRange()
        self.gpus = GpuPool(machine.gpus)
        self._logs = logs
        self._log_paths: deque[Path] = deque()
        self._given_back: asyncio.Future[None] | None = None

    def gpus_given_back(self) -> asyncio.Future[None]:
        """Done when a replica gives devices back next. Who waited first is woken first, and so is dealt first."""
        if self._given_back is None or self._given_back.done():
            self._given_back = asyncio.get_running_loop().create_future()
        return self._given_back

    def give_back_gpus(self, replica: str) -> None:
        """The replica's processes have really ended: its devices are free."""
        self.gpus.give_back(replica)
        if self._given_back is not None and not self._given_back.done():
            self._given_back.set_result(None)

    def gpu_environment(self, devices: tuple[str, ...]) -> dict[str, str]:
        """The variables by which a replica sees its own devices and no other; none at all when it asked for none."""
        return {**self.machine.gpu_environment, VISIBLE_DEVICES: ",".join(devices)}

    def log_path(self, name: str) -> Path:
        """Where the output of process `name` goes.

        Replicas come and go, and a model that cannot start makes a new one every minute: of a long run the oldest
        logs are removed. Only ours: the folder may be one that the user named.
        """
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log_paths.append(self._logs / f"{name}.log")
        while len(self._log_paths) > _LOGS_KEPT:
            oldest = self._log_paths.popleft()
            oldest.unlink(missing_ok=True)
            rotated(oldest).unlink(missing_ok=True)
        return self._log_paths[-1]
