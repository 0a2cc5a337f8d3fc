"""LocalAgent: the node. It owns replica processes, as a kubelet owns pods, and takes orders for numbers of them.

`pilotlight up` embeds one:

    agent = LocalAgent(specs, run_directory, machine)
    await agent.start()          # listens on RUN/agent.sock
    …
    await agent.stop(drain_seconds=30)

Controllers and activators may come and go; replicas stay as they were ordered last. When the process that embeds the
agent goes, by whatever way, no replica survives it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import aiohttp

from autoscaler.cluster.interface import ClusterError, ServiceView
from autoscaler.cluster.local.gpu_use import GpuUse
from autoscaler.cluster.local.guarding import Guard
from autoscaler.cluster.local.host import Host
from autoscaler.cluster.local.machine import Machine
from autoscaler.cluster.local.nvml import DeviceReader, read_devices
from autoscaler.cluster.local.orphans import find_orphans, is_subreaper, reap_orphans
from autoscaler.cluster.local.processes import Processes
from autoscaler.cluster.local.procfs import kill_members
from autoscaler.cluster.local.server import AgentServer
from autoscaler.cluster.local.service import LocalService
from autoscaler.cluster.local.service_spec import ServiceSpec

SOCKET_NAME = "agent.sock"


class LocalAgent:
    """Runs the replicas of `specs` (see `read_services`) on `machine`; private files are in `run_directory`."""

    def __init__(
        self,
        specs: Sequence[ServiceSpec],
        run_directory: Path,
        machine: Machine,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        read_gpus: DeviceReader = read_devices,
    ) -> None:
        self.run = secrets.token_hex(8)
        self.run_directory = run_directory
        self.machine = machine
        self._specs = tuple(specs)
        self._clock = clock
        self._wall_clock = wall_clock
        self._processes = Processes(self.run, lambda line: self._guard.announce(line))
        self._guard = Guard(self.run, run_directory, lambda: self._processes.sessions)
        self._services: dict[str, LocalService] = {}
        self._removed: dict[LocalService, asyncio.Task[None]] = {}
        self._host: Host | None = None
        self._http: aiohttp.ClientSession | None = None
        self._server: AgentServer | None = None
        self._gpu_use = GpuUse(read_gpus, self._gpus_dealt)
        self._changed = asyncio.Event()
        self._end: asyncio.Task[None] | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def socket_path(self) -> Path:
        """Where the controller finds the agent (`--cluster local:PATH`)."""
        return self.run_directory / SOCKET_NAME

    @property
    def views(self) -> tuple[ServiceView, ...]:
        """All services as they are now."""
        return tuple(service.view for service in self._services.values())

    async def start(self) -> None:
        """Start the guardian and listen for orders; no replica is started before one is ordered. Raises StartError."""
        self.run_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run_directory.chmod(0o700)
        await self._guard.start()
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        logs = self.run_directory / "logs"
        self._host = Host(self.machine, self._processes, logs, self._http, self._clock, self._wall_clock)
        self.follow(self._specs)
        self._server = AgentServer(self.socket_path, self.watch, self.scale, self._gpu_use)
        await self._server.start()
        if is_subreaper():
            self._reaper = asyncio.create_task(reap_orphans(), name="reap orphans")

    def follow(self, specs: Sequence[ServiceSpec]) -> None:
        """From now on these services: policies count at once, replicas of another make are replaced one by one, those
        of a service that is not listed any more drain and end."""
        assert self._host is not None, "start it first"
        for spec in specs:
            if spec.service in self._services:
                self._services[spec.service].follow(spec)
            else:
                self._services[spec.service] = LocalService(spec, self._host, self._notify)
        for name in self._services.keys() - {spec.service for spec in specs}:
            service = self._services.pop(name)
            ending = asyncio.create_task(service.stop(service.spec.drain_seconds), name=f"end {name}")
            self._removed[service] = ending
            ending.add_done_callback(partial(self._ended, service))
        self._notify()

    def _ended(self, service: LocalService, _: asyncio.Task[None]) -> None:
        self._removed.pop(service, None)

    def roll(self) -> None:
        """Replace every replica of every service, one after the other in each."""
        for service in self._services.values():
            service.roll()

    @property
    def rolling(self) -> bool:
        """Whether any replica is, or may be, older than the last `roll` or edit of its service."""
        return any(service.rolling for service in self._services.values())

    async def rolled(self) -> None:
        """Returns when no replica is older than the last `roll` or edit of its service."""
        await asyncio.gather(*(service.rolled() for service in self._services.values()))

    async def stop(self, drain_seconds: float = 30.0) -> None:
        """End all replicas and remove the run directory; accepted work is finished for at most `drain_seconds`.

        May be called again while it is under way, with less: the replicas then have only that long. Every call returns
        when all is done.
        """
        self._stopping = True
        services = (*self._services.values(), *self._removed)
        await asyncio.gather(*(service.stop(drain_seconds) for service in services))
        if self._end is None:
            self._end = asyncio.create_task(self._close())
        await asyncio.shield(self._end)

    async def stop_at_once(self) -> None:
        """End everything now: nothing that is accepted is finished. May be called while `stop` is under way."""
        self._stopping = True
        for service in (*self._services.values(), *self._removed):
            service.kill()
        await self.stop(0.0)

    async def _close(self) -> None:
        self._notify()
        if self._reaper is not None:
            self._reaper.cancel()
            ours = () if self._guard.pid is None else (self._guard.pid,)
            await asyncio.to_thread(kill_members, lambda: find_orphans(ours))
        if self._server is not None:
            await self._server.stop()
        if self._http is not None:
            await self._http.close()
        await self._guard.finish()

    def scale(self, service: str, replicas: int, go_first: Sequence[str]) -> None:
        """From now on `replicas` replicas of `service`; see Cluster.scale. Raises ClusterError."""
        if service not in self._services:
            raise ClusterError(f"there is no service {service} here; there are: {', '.join(self._services) or 'none'}")
        if self._stopping:
            raise ClusterError(f"{service}: the agent is stopping")
        self._services[service].scale(replicas, go_first)

    async def watch(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        """All services at once, and again after every change, as long as the caller listens.

        Changes that follow one another before the caller comes back are told once: it gets the newest state.
        """
        while True:
            changed = self._changed
            yield self.views
            await changed.wait()

    def _gpus_dealt(self) -> dict[str, tuple[str, ...]]:
        """The devices of each replica, `namespace/name`, that has any."""
        return {
            f"{name.partition('/')[0]}/{replica.name}": devices
            for name, service in self._services.items()
            for replica in service.replicas
            if (devices := service.gpus_of(replica.name))
        }

    def _notify(self) -> None:
        """Wake all watchers; each waits on the event that was current when it last looked."""
        self._changed.set()
        self._changed = asyncio.Event()
