"""A real queue proxy in a process of its own, a small real HTTP server as the model, and a plain client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from tests.until import until

Handler = Callable[["Call"], Awaitable[bytes]]


def ok(body: bytes = b"ok") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@dataclass
class Call:
    """One request as the model sees it."""

    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass
class Model:
    """Answers each request with what `handle` returns; `paths` are those of all requests, in order."""

    handle: Handler
    port: int = 0
    paths: list[bytes] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nobody listens any more, and what runs is cut."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def arrived(self, number: int) -> None:
        await until(lambda: len(self.paths) >= number)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head[:-4].split(b"\r\n")
        method, path, _ = request_line.split(b" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        self.paths.append(path)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            writer.write(await self.handle(Call(method, path, headers, body, reader, writer)))
            await writer.drain()
        finally:
            self.running -= 1


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    seconds: float

    def json(self) -> dict[str, object]:
        return cast(dict[str, object], json.loads(self.body))


async def request(
    port: int, path: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Reply:
    """One request on a connection of its own."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(path, method, {"connection": "close", **(headers or {})}, body))
        return await read_reply(reader, began)
    finally:
        writer.transport.abort()


def request_bytes(path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: test", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def read_reply(reader: asyncio.StreamReader, began: float = 0.0) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *lines = head[:-4].split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return Reply(int(status_line.split()[1]), headers, body, time.monotonic() - began)


@dataclass
class Proxy:
    """A running queue proxy."""

    process: asyncio.subprocess.Process
    port: int
    admin: int

    async def stats(self, seconds: int = 0) -> dict[str, object]:
        return (await request(self.admin, f"/stats?seconds={seconds}")).json()

    async def until_stats(self, **expected: object) -> dict[str, object]:
        """Wait until /stats shows these values."""
        async with asyncio.timeout(60):
            while True:
                stats = await self.stats()
                if {name: stats[name] for name in expected} == expected:
                    return stats
                await asyncio.sleep(0.005)

    async def metric(self, name: str) -> float:
        """The value of a metric without labels; `name` without the prefix."""
        page = (await request(self.admin, "/metrics")).body.decode()
        return float(
            next(line for line in page.splitlines() if line.startswith(f"pilotlight_queue_proxy_{name} ")).split()[1]
        )

    async def until_ready(self) -> None:
        assert (await request(self.admin, "/ready?wait=20")).status == 200

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextlib.asynccontextmanager
async def proxy_before(upstream_port: int, *flags: str) -> AsyncIterator[Proxy]:
    """Start a queue proxy in front of `upstream_port`, on ports that the kernel chooses; end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "queue_proxy", "--name", "chat-1"),
        *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", f"127.0.0.1:{upstream_port}"),
        *("--notice-seconds", "0", "--longest-notice-seconds", "2", *flags),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        ports = re.search(r"requests on \S+:(\d+), admin on \S+:(\d+)", line)
        assert ports is not None, line + (await process.stderr.read()).decode()
        yield Proxy(process, int(ports[1]), int(ports[2]))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        noise = (await process.stderr.read()).decode()
        process._transport.close()  # type: ignore[attr-defined]
    assert noise == "", noise


@contextlib.asynccontextmanager
async def serving(handle: Handler, *flags: str) -> AsyncIterator[tuple[Model, Proxy]]:
    """A model that is ready and a proxy that knows it."""
    model = Model(handle)
    await model.start()
    try:
        async with proxy_before(model.port, *flags) as proxy:
            await proxy.until_ready()
            yield model, proxy
    finally:
        await model.stop()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
