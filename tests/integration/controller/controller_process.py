"""The real controller process, between a real agent socket, real /stats servers and an activator's real connection.

What stands behind the agent socket and the /stats servers is a value that the test sets: the controller cannot tell.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import web

from activator.messages import Routes, StatsPush, parse_routes
from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.cluster.local.server import AgentServer
from queue_proxy.measurement import Measurement
from queue_proxy.messages import Stats

Found = TypeVar("Found")


async def eventually(what: str, condition: Callable[[], Awaitable[Found]], within: float = 60.0) -> Found:
    """The first true value of `condition`; says what was waited for when it never comes."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        found = await condition()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {within} s in vain for {what}")


class Load:
    """Requests that run and wait at one source, as it measures them."""

    def __init__(self, source: str) -> None:
        self._measurement = Measurement(source, os.urandom(4).hex(), time.monotonic())

    def set(self, *, running: int | None = None, waiting: int | None = None) -> None:
        """From now on so many."""
        measurement, now = self._measurement, time.monotonic()
        while running is not None and measurement.running != running:
            if measurement.running < running:
                measurement.arrive(now)
                measurement.start(now)
            else:
                measurement.finish(now)
        while waiting is not None and measurement.waiting != waiting:
            if measurement.waiting < waiting:
                measurement.arrive(now)
                measurement.enqueue(now)
            else:
                measurement.dequeue(now)

    def stats(self, seconds: int = 0) -> Stats:
        return self._measurement.stats(time.monotonic(), seconds=seconds)


class Agent:
    """The node's socket. Orders change `wanted`; replicas are what the test makes them."""

    def __init__(self, path: Path) -> None:
        self.orders: list[tuple[float, str, int, tuple[str, ...]]] = []
        self.views: dict[str, ServiceView] = {}
        self.loads: dict[str, Load] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuse_stats = False
        self.before_answer: Callable[[], object] | None = None
        self._changed = asyncio.Event()
        self._server = AgentServer(path, self._watch, self._scale)
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()
        for runner in self._runners:
            await runner.cleanup()

    def show(self, view: ServiceView) -> None:
        self.views[view.service] = view
        self._changed.set()
        self._changed = asyncio.Event()

    async def start_replica(self, service: str, name: str) -> Load:
        """One more replica, ready, with a /stats of its own."""
        load = self.loads[name] = Load(name)
        port = await self._serve_stats(name, load)
        now = time.time()
        born = Replica(name, ReplicaPhase.READY, now - 0.2, "127.0.0.1", port, port, ready_at=now)
        self.show(replace(self.views[service], replicas=(*self.views[service].replicas, born)))
        return load

    def stop_replicas(self, service: str, *names: str) -> None:
        view = self.views[service]
        self.show(replace(view, replicas=tuple(r for r in view.replicas if r.name not in names)))

    async def _serve_stats(self, name: str, load: Load) -> int:
        async def answer(request: web.Request) -> web.Response:
            if self.before_answer is not None:
                self.before_answer()
            self.asked.append((name, request.query_string))
            if self.refuse_stats:
                return web.Response(status=500)
            return web.json_response(load.stats(int(request.query.get("seconds", "0"))).to_json())

        application = web.Application()
        application.router.add_get("/stats", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    async def _watch(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        while True:
            changed = self._changed
            yield tuple(self.views.values())
            await changed.wait()

    def _scale(self, service: str, replicas: int, go_first: Sequence[str]) -> None:
        self.orders.append((time.monotonic(), service, replicas, tuple(go_first)))
        self.show(replace(self.views[service], wanted=replicas))


class Activator:
    """An activator's side of the connection: pushes what the test says holds, keeps the tables that come."""

    def __init__(self, folder: Path, name: str = "main") -> None:
        self.loads: dict[str, Load] = {}
        self.tables: list[Routes] = []
        self.told_at: list[float] = []
        self.connections = 0
        self._name = name
        self._path = folder / "control.sock"
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None

    def hold(self, service: str, waiting: int) -> None:
        """From now on so many wait there; told with the next push."""
        self._load(service).set(waiting=waiting)

    async def push(self, *services: str, urgent: bool = False, history: int = 0) -> None:
        if self._socket is not None and not self._socket.closed:
            pushed = {name: self._load(name).stats(history) for name in services or self.loads}
            await self._socket.send_str(json.dumps(StatsPush(urgent, pushed).to_json()))

    def _load(self, service: str) -> Load:
        return self.loads.setdefault(service, Load(f"activator/{self._name}"))

    async def __aenter__(self) -> Activator:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        connector = aiohttp.UnixConnector(str(self._path))
        async with aiohttp.ClientSession(connector=connector) as session:
            while True:
                try:
                    async with session.ws_connect(f"http://controller/activators/{self._name}") as socket:
                        await self._serve(socket)
                except aiohttp.ClientError:
                    pass  # the controller is away
                await asyncio.sleep(0.05)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.connections += 1
        self._socket = socket
        await self.push(history=600)
        pushing = asyncio.create_task(self._push_every_second())
        try:
            async for message in socket:
                self.told_at.append(time.monotonic())
                self.tables.append(parse_routes(json.loads(message.data)))
        finally:
            pushing.cancel()

    async def _push_every_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self.push()


class ControllerProcess:
    """`python -m autoscaler.controller`, its API, its end."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._folder = folder
        self._flags = flags
        self._process: asyncio.subprocess.Process | None = None
        self.log = folder / "controller.log"
        self.api = ""

    async def start(self) -> None:
        before = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "autoscaler.controller", "--cluster", f"local:{self._folder}/agent.sock"),
                *("--control", f"unix:{self._folder}/control.sock", "--api", "127.0.0.1:0", *self._flags),
                stdout=log,
                stderr=log,
            )

        async def address() -> str:
            assert self._process is not None
            said = self.log.read_text()[before:]
            assert self._process.returncode is None, said
            return said.partition("API on ")[2].partition("\n")[0] if "API on " in said else ""

        self.api = f"http://{await eventually('the API', address)}"

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.api + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def explain(self, service: str, last: int = 1_000) -> dict[str, object]:
        status, body = await self.get(f"/explain/{service}?last={last}")
        assert status == 200, body
        explained = json.loads(body)
        assert isinstance(explained, dict)
        return explained

    async def decisions(self, service: str) -> list[dict[str, object]]:
        status, body = await self.get(f"/explain/{service}?last=1000")
        if status == 503:
            return []  # it has just started
        decisions = json.loads(body)["decisions"]
        assert isinstance(decisions, list)
        return decisions


@asynccontextmanager
async def running_controller(folder: Path, agent: Agent, *flags: str) -> AsyncIterator[ControllerProcess]:
    """An agent and a controller, until the block ends; then it must end in good order on SIGTERM."""
    await agent.start()
    controller = ControllerProcess(folder, *flags)
    try:
        await controller.start()
        yield controller
        assert await controller.kill(signal.SIGTERM) == 0, controller.log.read_text()[-4_000:]
    finally:
        await controller.kill()
        await agent.stop()
