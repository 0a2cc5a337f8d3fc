"""A real activator in a process of its own, a real WebSocket server in the controller's place, and replicas."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import WSMsgType, web

from activator.messages import Endpoint, EndpointState, HoldBounds, Route, Routes, StatsPush, Timeouts, parse_stats_push
from queue_proxy.messages import Stats
from tests.integration.queue_proxy.queue_proxy_harness import Call, Handler, Model, Reply, ok, request
from tests.until import until

SERVICE = "default/chat"
HOLD = HoldBounds(requests=10_000, bytes=2**28, no_endpoint_seconds=60.0, full_seconds=60.0)
NO_TIMEOUTS = Timeouts(total=0.0, response_start=0.0, idle=0.0)


class Controller:
    """Speaks the controller's side of the link: sends tables, collects pushes."""

    def __init__(self, socket_path: Path) -> None:
        self.path = socket_path
        self.pushes: list[tuple[float, StatsPush]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self._version = 0
        self._table: str | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/activators/{name}", self._serve)
        self._runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        self.path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.path)).start()

    async def stop(self) -> None:
        for connection in self.sockets:
            await connection.close()
        self.sockets.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def route(
        self,
        *endpoints: Endpoint,
        capacity: int = 0,
        hold: HoldBounds = HOLD,
        timeouts: Timeouts = NO_TIMEOUTS,
        port: int = 0,
        in_path: bool = True,
    ) -> None:
        """Send a table with the one service."""
        route = Route(SERVICE, port, endpoints, capacity, hold, timeouts, 30.0, in_path=in_path)
        self._version += 1
        await self.send(json.dumps(Routes("controller-1", self._version, (route,)).to_json()))

    async def send(self, text: str) -> None:
        self._table = text
        for connection in self.sockets:
            await connection.send_str(text)

    @property
    def last(self) -> Stats | None:
        return next((push.services[SERVICE] for _, push in reversed(self.pushes) if SERVICE in push.services), None)

    async def until_stats(self, **expected: object) -> Stats:
        def seen() -> bool:
            return self.last is not None and all(getattr(self.last, k) == v for k, v in expected.items())

        try:
            await until(seen)
        except TimeoutError:
            raise AssertionError(f"wanted {expected}, last seen {self.last}") from None
        assert self.last is not None
        return self.last

    async def _serve(self, incoming: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(compress=False, max_msg_size=2**24)
        await connection.prepare(incoming)
        self.connections += 1
        self.sockets.append(connection)
        if self._table is not None:
            await connection.send_str(self._table)
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                self.pushes.append((time.monotonic(), parse_stats_push(json.loads(message.data))))
        if connection in self.sockets:
            self.sockets.remove(connection)
        return connection


@dataclass
class Replica:
    """A model, and next to it the part of a queue proxy that answers `/ready`: held until `ready` is set."""

    name: str
    model: Model
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ready_answered_at: float = 0.0
    questions: int = 0
    first_request_at: float = 0.0
    _admin: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        await self.model.start()
        self._admin = await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._admin is not None:
            self._admin.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.model.stop()

    def endpoint(self, state: EndpointState = EndpointState.READY) -> Endpoint:
        assert self._admin is not None
        admin_port = self._admin.sockets[0].getsockname()[1]
        return Endpoint(self.name, "127.0.0.1", self.model.port, admin_port, state)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"GET /ready?wait=")
                self.questions += 1
                await self.ready.wait()
                self.ready_answered_at = time.monotonic()
                writer.write(ok())
                await writer.drain()
        finally:
            self._tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def replicas(number: int, seconds: float = 0.0, handle: Handler | None = None) -> AsyncIterator[list[Replica]]:
    """Replicas whose models answer after `seconds`, not ready yet."""
    made: list[Replica] = []

    def handler_of(index: int) -> Handler:
        async def answer(call: Call) -> bytes:
            made[index].first_request_at = made[index].first_request_at or time.monotonic()
            if handle is not None:
                return await handle(call)
            if seconds:
                await asyncio.sleep(seconds)
            return ok(made[index].name.encode())

        return answer

    try:
        for index in range(number):
            made.append(Replica(f"chat-{index}", Model(handler_of(index))))
            await made[-1].start()
        yield made
    finally:
        for replica in made:
            await replica.stop()


@dataclass
class Activator:
    """A running activator. `lines` is what it has said on stderr."""

    process: asyncio.subprocess.Process
    port: int
    admin: int
    lines: list[str]

    async def get(self, path: str = "/v1/work", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await request(self.port, path, headers=named)

    def ask(self, number: int = 1, path: str = "/v1/work") -> list[asyncio.Task[Reply]]:
        return [asyncio.create_task(self.get(path)) for _ in range(number)]

    async def metrics(self) -> dict[str, float]:
        page = await request(self.admin, "/metrics")
        assert page.status == 200
        samples = [line.rsplit(" ", 1) for line in page.body.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in samples}

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def said(self, words: str) -> None:
        await until(lambda: any(words in line for line in self.lines))


@contextlib.asynccontextmanager
async def activator_for(control: Path, *flags: str, listening: socket.socket | None = None) -> AsyncIterator[Activator]:
    """Start an activator with one service on a listening socket that we hand over (and keep, if it was given to us);
    end it afterwards."""
    handed_over = listening or listening_socket()
    number, port = handed_over.fileno(), int(handed_over.getsockname()[1])
    async with _running(control, (number,), "--listen", f"{SERVICE}=fd:{number}", *flags) as (process, admin, lines):
        if listening is None:
            handed_over.close()
        yield Activator(process, port, admin, lines)


@contextlib.asynccontextmanager
async def activator_in_a_pod(control: Path, port: int, *flags: str) -> AsyncIterator[Activator]:
    """Start an activator that makes its ports itself, as tables name them; `port` is the one that tests will name."""
    async with _running(control, (), *flags) as (process, admin, lines):
        yield Activator(process, port, admin, lines)


@contextlib.asynccontextmanager
async def _running(
    control: Path, inherited: tuple[int, ...], *flags: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, list[str]]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "activator", "--name", "one", "--control", f"unix:{control}"),
        *("--admin", "127.0.0.1:0", *flags),
        stderr=asyncio.subprocess.PIPE,
        pass_fds=inherited,
    )
    assert process.stderr is not None
    lines: list[str] = []
    reading: asyncio.Task[None] | None = None
    try:
        line = (await process.stderr.readline()).decode()
        ports = re.search(r"admin on \S+:(\d+)", line)
        assert ports is not None, line + (await process.stderr.read()).decode()
        reading = asyncio.create_task(_read_lines(process.stderr, lines))
        yield process, int(ports[1]), lines
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if reading is not None:
            await reading
        process._transport.close()  # type: ignore[attr-defined]
    assert not any("Traceback" in line or "Error" in line for line in lines), lines


def listening_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


async def _read_lines(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode())


def bodies(replies: Sequence[Reply]) -> list[str]:
    return [reply.body.decode() for reply in replies]


def named(metric: str) -> str:
    """A sample of the service, as the page of metrics has it."""
    return f'pilotlight_activator_{metric}{{service="{SERVICE}"}}'


async def until_held(activator: Activator, held: int) -> None:
    """Return when so many are held."""
    async with asyncio.timeout(60):
        while (await activator.metrics())[named("held")] != held:
            await asyncio.sleep(0.001)
