"""One machine as a cluster: the node agent in this process, activator and controller as children that are kept alive.

What must outlive the others is here: listening sockets and replicas. The order of starting and ending is the promise:
nothing is said to be ready before it can hold a request, and at the end requests come first, then those who serve them.
"""

from __future__ import annotations

import asyncio
import socket
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
from autoscaler.controller.recorder import STOPPED as STOPPED_RECORDING
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


@dataclass(frozen=True, eq=False, slots=True)
class RunningActivator:
    """One activator and the listening socket of its admin port."""

    component: Component
    admin: socket.socket

    @property
    def admin_url(self) -> str:
        """Where it says how it is."""
        return f"http://127.0.0.1:{self.admin.getsockname()[1]}"


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
        self.listeners = tuple(listeners)
        self._options = options
        self._report = report
        # The run's mark is enough for the guardian to find these two: both carry it from their first moment.
        self._processes = Processes(self.agent.run, announce=lambda _: None)
        self._controller = Component(self._controller_spec(), self._processes, report)
        self._activators = 0
        self._activator = self._next_activator(self.listeners)
        self._retiring: dict[RunningActivator, asyncio.Task[bool]] = {}

    @property
    def api(self) -> str:
        """HOST:PORT of the controller's API."""
        return self._options.api

    @property
    def activator_metrics(self) -> str:
        """The URL of the activator's metrics."""
        return f"{self._activator.admin_url}/metrics"

    async def start(self) -> None:
        """Start everything; returns when requests can be held and decided on. Raises CommandError."""
        try:
            await self.agent.start()
            self._controller.start()
            self._activator.component.start()
        except StartError as error:
            raise CommandError(str(error)) from error
        async with _session() as session:
            await self._controls(session)
            await self._answers(session, self._activator.component, f"{self._activator.admin_url}/healthz")

    async def roll_controller(self) -> None:
        """A new controller in place of the running one. Requests flow on meanwhile. Raises CommandError."""
        await self._controller.restart(_MARGIN_SECONDS)
        async with _session() as session:
            await self._controls(session)

    async def roll_activator(self, listeners: Sequence[Listener] | None = None) -> None:
        """A new activator on the same listening sockets (or on `listeners`); when it has a table to serve from, the one
        before it drains, which takes as long as its longest request but not longer than it may drain.

        Raises CommandError when the new one does not get that far; then the one before it serves on.
        """
        following = self.listeners if listeners is None else tuple(listeners)
        new = self._next_activator(following)
        try:
            new.component.start()
            async with _session() as session:
                await self._answers(session, new.component, f"{new.admin_url}/ready")
        except (StartError, CommandError) as error:
            await self._end_activator(new)
            raise CommandError(f"{error}\nthe activator of before serves on") from error
        except asyncio.CancelledError:
            new.component.kill()
            raise
        old, self._activator, self.listeners = self._activator, new, following
        ending = asyncio.create_task(self._end_activator(old), name=f"end {old.component.spec.name}")
        self._retiring[old] = ending
        ending.add_done_callback(lambda _: self._retiring.pop(old, None))

    async def stop(self) -> bool:
        """Drain and end: no new connections, then requests finish, then who served them ends. True if all went well."""
        # Ours are copies of the activator's: while they are open, the kernel goes on accepting for nobody.
        for listener in self.listeners:
            listener.socket.close()
        drained = await asyncio.gather(self._end_activator(self._activator), *self._retiring.values())
        ended = await self._controller.stop(_MARGIN_SECONDS)
        await self.agent.stop(self._options.drain_seconds)
        return all(drained) and ended

    async def _end_activator(self, activator: RunningActivator) -> bool:
        drained = await activator.component.stop(self._options.drain_seconds + _MARGIN_SECONDS)
        activator.admin.close()
        return drained

    async def stop_at_once(self) -> None:
        """Kill everything; may be called while `stop` is under way, which then returns soon."""
        for activator in (self._activator, *self._retiring):
            activator.component.kill()
        self._controller.kill()
        await self.agent.stop_at_once()

    def _controller_spec(self) -> ComponentSpec:
        command = [sys.executable, "-P", "-m", "autoscaler.controller", "--cluster", f"local:{self.agent.socket_path}"]
        command += ["--control", self._control, "--api", self._options.api]
        if self._options.record is not None:
            command += ["--record", str(self._options.record.absolute())]
        return ComponentSpec("controller", command, self._log("controller"), worth_telling=STOPPED_RECORDING)

    def _next_activator(self, listeners: Sequence[Listener]) -> RunningActivator:
        """Each has a name and an admin port of its own: for a while there are two, and they must be told apart."""
        self._activators += 1
        suffix = "" if self._activators == 1 else f"-{self._activators}"
        admin = bind_loopback()
        command = [sys.executable, "-P", "-m", "activator", "--name", f"local{suffix}", "--control", self._control]
        command += ["--admin", f"fd:{admin.fileno()}", "--drain-seconds", f"{self._options.drain_seconds:g}"]
        for listener in listeners:
            command += ["--listen", f"{listener.service}=fd:{listener.socket.fileno()}"]
        inherited = (admin.fileno(), *(listener.socket.fileno() for listener in listeners))
        name = f"activator{suffix}"
        spec = ComponentSpec(name, command, self._log(name), inherited)
        return RunningActivator(Component(spec, self._processes, self._report), admin)

    @property
    def _control(self) -> str:
        return f"unix:{self._options.directory / 'control.sock'}"

    def _log(self, name: str) -> Path:
        return self._options.directory / "logs" / f"{name}.log"

    async def _controls(self, session: aiohttp.ClientSession) -> None:
        """Wait until the controller answers and knows every service: `status` and `explain` can tell of all."""
        await self._answers(session, self._controller, f"http://{self._options.api}/healthz")
        wanted = {view.service for view in self.agent.views}
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if wanted <= await _known(session, f"http://{self._options.api}/services"):
                return
            await asyncio.sleep(0.02)
        raise CommandError(f"the controller does not see {', '.join(sorted(wanted))} within {_START_SECONDS:g} s")

    async def _answers(self, session: aiohttp.ClientSession, component: Component, url: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while not await _is_good(session, url):
            if component.deaths >= _DEATHS_AT_START or time.monotonic() > until:
                lines = "\n".join(f"  {line}" for line in component.last_lines())
                raise CommandError(f"the {component.spec.name} does not start; the end of its log:\n{lines}")
            await asyncio.sleep(0.02)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))


async def _known(session: aiohttp.ClientSession, url: str) -> set[str]:
    """The services that the controller lists; none while it does not answer."""
    try:
        async with session.get(url) as answer:
            return {service["service"] for service in (await answer.json())["services"]}
    except (aiohttp.ClientError, TimeoutError, OSError):
        return set()


async def _is_good(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
