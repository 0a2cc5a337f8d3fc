"""One machine as a cluster: the node agent in this process, activator and controller as children that are kept alive.

What must outlive the others is here: listening sockets and replicas. The order of starting and ending is the promise:
nothing is said to be ready before it can hold a request, and at the end requests come first, then those who serve them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from autoscaler.cluster.local.agent import LocalAgent
from autoscaler.cluster.local.machine import Machine
from autoscaler.cluster.local.processes import Processes, StartError
from autoscaler.cluster.local.service_spec import ServiceSpec
from pilotlight.errors import CommandError
from pilotlight.listeners import Listener, bind_loopback
from pilotlight.supervisor import Component, ComponentSpec

_START_SECONDS = 30.0
_DEATHS_AT_START = 3
# Longer than the activator's own bound, so that it can finish by itself.
_MARGIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`api` is HOST:PORT of the controller's API; `record` a file for readings and decisions."""

    directory: Path
    api: str
    record: Path | None
    drain_seconds: float


class Node:
    """Serves `specs` on `listeners`. `report` gets lines for a person: what died, what is started again."""

    def __init__(
        self,
        specs: Sequence[ServiceSpec],
        listeners: Sequence[Listener],
        machine: Machine,
        options: NodeOptions,
        report: Callable[[str], None],
    ) -> None:
        self.agent = LocalAgent(specs, options.directory, machine)
        self._options = options
        self._listeners = tuple(listeners)
        self._admin = bind_loopback()
        self._admin_port = int(self._admin.getsockname()[1])
        # The run's mark is enough for the guardian to find these two: both carry it from their first moment.
        processes = Processes(self.agent.run, announce=lambda _: None)
        self._controller = Component(self._controller_spec(), processes, report)
        self._activator = Component(self._activator_spec(), processes, report)

    @property
    def api(self) -> str:
        """HOST:PORT of the controller's API."""
        return self._options.api

    @property
    def activator_metrics(self) -> str:
        """The URL of the activator's metrics."""
        return f"http://127.0.0.1:{self._admin_port}/metrics"

    async def start(self) -> None:
        """Start everything; returns when requests can be held and decided on. Raises CommandError."""
        try:
            await self.agent.start()
            self._controller.start()
            self._activator.start()
        except StartError as error:
            raise CommandError(str(error)) from error
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            await self._healthy(session, self._controller, f"http://{self._options.api}/healthz")
            await self._healthy(session, self._activator, f"http://127.0.0.1:{self._admin_port}/healthz")
            await self._decided(session)

    async def stop(self) -> bool:
        """Drain and end: no new connections, then requests finish, then who served them ends. True if all went well."""
        # Ours are copies of the activator's: while they are open, the kernel goes on accepting for nobody.
        for listener in self._listeners:
            listener.socket.close()
        drained = await self._activator.stop(self._options.drain_seconds + _MARGIN_SECONDS)
        self._admin.close()
        ended = await self._controller.stop(_MARGIN_SECONDS)
        await self.agent.stop(self._options.drain_seconds)
        return drained and ended

    async def stop_at_once(self) -> None:
        """Kill everything; may be called while `stop` is under way, which then returns soon."""
        self._activator.kill()
        self._controller.kill()
        await self.agent.stop(0.0)

    def _controller_spec(self) -> ComponentSpec:
        command = [sys.executable, "-P", "-m", "autoscaler.controller", "--cluster", f"local:{self.agent.socket_path}"]
        command += ["--control", self._control, "--api", self._options.api]
        if self._options.record is not None:
            command += ["--record", str(self._options.record.absolute())]
        return ComponentSpec("controller", command, self._log("controller"))

    def _activator_spec(self) -> ComponentSpec:
        command = [sys.executable, "-P", "-m", "activator", "--name", "local", "--control", self._control]
        command += ["--admin", f"fd:{self._admin.fileno()}", "--drain-seconds", f"{self._options.drain_seconds:g}"]
        for listener in self._listeners:
            command += ["--listen", f"{listener.service}=fd:{listener.socket.fileno()}"]
        inherited = (self._admin.fileno(), *(listener.socket.fileno() for listener in self._listeners))
        return ComponentSpec("activator", command, self._log("activator"), inherited)

    @property
    def _control(self) -> str:
        return f"unix:{self._options.directory / 'control.sock'}"

    def _log(self, name: str) -> Path:
        return self._options.directory / "logs" / f"{name}.log"

    async def _healthy(self, session: aiohttp.ClientSession, component: Component, url: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while not await _answers(session, url):
            if component.deaths >= _DEATHS_AT_START or time.monotonic() > until:
                lines = "\n".join(f"  {line}" for line in component.last_lines())
                raise CommandError(f"the {component.spec.name} does not start; the end of its log:\n{lines}")
            await asyncio.sleep(0.02)

    async def _decided(self, session: aiohttp.ClientSession) -> None:
        """Wait until the controller knows every service: `status` and `explain` answer from the first moment."""
        wanted = {listener.service for listener in self._listeners}
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            try:
                async with session.get(f"http://{self._options.api}/services") as answer:
                    known = {service["service"] for service in (await answer.json())["services"]}
            except (aiohttp.ClientError, TimeoutError, OSError):
                known = set()
            if wanted <= known:
                return
            await asyncio.sleep(0.02)
        raise CommandError(f"the controller does not see {', '.join(sorted(wanted))} within {_START_SECONDS:g} s")


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
