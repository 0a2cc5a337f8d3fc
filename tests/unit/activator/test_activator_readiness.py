"""Questions for readiness, to real servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

from activator.endpoint_load import EndpointLoad
from activator.messages import Endpoint, EndpointState
from activator.readiness import Pace, ReadinessWatch
from tests.until import until

READY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_SYN_SENT = "02"
NOT_READY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Admin:
    """An admin port: holds each question until an answer is put into `answers`."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.questions: list[bytes] = []
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                self.questions.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
                gone, answer = asyncio.ensure_future(reader.read()), asyncio.ensure_future(self.answers.get())
                await asyncio.wait((gone, answer), return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    writer.write(answer.result())
                gone.cancel()
                answer.cancel()
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def admin() -> AsyncIterator[tuple[Admin, EndpointLoad]]:
    server = Admin()
    port = await server.start()
    try:
        yield server, load(port)
    finally:
        await server.stop()


def load(admin_port: int) -> EndpointLoad:
    return EndpointLoad(Endpoint("chat-0", "127.0.0.1", 1, admin_port, EndpointState.STARTING))


def watch() -> tuple[ReadinessWatch, list[EndpointLoad]]:
    proven: list[EndpointLoad] = []
    return ReadinessWatch(time.monotonic, proven.append, Pace()), proven


async def test_one_question_is_held_until_its_answer_and_not_repeated() -> None:
    async with admin() as (server, endpoint):
        readiness, proven = watch()
        readiness.ask([endpoint])
        readiness.ask([endpoint])
        await until(lambda: server.questions)
        assert server.questions == [b"GET /ready?wait=30 HTTP/1.1"]
        server.answers.put_nowait(READY)
        await until(lambda: proven == [endpoint])
        assert len(readiness) == 0


async def test_a_refused_connection_is_repeated_until_somebody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    endpoint, server = load(port), Admin()
    readiness, proven = watch()
    readiness.ask([endpoint])
    await asyncio.sleep(0.1)
    await server.start(port)
    await until(lambda: server.questions)
    server.answers.put_nowait(READY)
    await until(lambda: proven == [endpoint])
    await server.stop()


async def test_not_ready_is_asked_again_but_not_in_a_tight_loop() -> None:
    async with admin() as (server, endpoint):
        for _ in range(1_000):
            server.answers.put_nowait(NOT_READY)
        readiness, proven = watch()
        began = time.monotonic()
        readiness.ask([endpoint])
        await until(lambda: len(server.questions) >= 5)
        readiness.close()
        assert time.monotonic() - began >= 4 * 0.01
        assert proven == []


async def test_a_question_to_an_endpoint_that_goes_is_taken_back() -> None:
    async with admin() as (server, endpoint):
        readiness, proven = watch()
        readiness.ask([endpoint])
        await until(lambda: server.questions)
        readiness.ask([])
        assert len(readiness) == 0
        await until(lambda: server.open == 0)
        assert proven == []


async def test_what_is_not_http_is_not_an_answer() -> None:
    async with admin() as (server, endpoint):
        readiness, proven = watch()
        for answer in (b"\x00\xff\r\n", b"", READY):
            server.answers.put_nowait(answer)
        readiness.ask([endpoint])
        await until(lambda: proven == [endpoint])
        assert len(server.questions) == 3


async def test_a_connect_that_nobody_answers_is_made_anew_long_before_the_kernel_would_try_again() -> None:
    """A full backlog drops what comes next, as a pod does whose network is not there yet."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [await dropped_connect(full) for _ in range(2)]
        readiness, proven = watch()
        port = int(full.getsockname()[1])
        theirs = connecting(port)
        readiness.ask([load(port)])
        ours: set[str] = set()

        def made_anew() -> bool:
            ours.update(connecting(port) - theirs)
            return len(ours) > 1

        # The kernel would try again from where it tried first.
        await until(made_anew)
        for filler in fillers:
            filler.close()
        full.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while True:
                accepted, _ = await loop.sock_accept(full)
                with accepted:
                    if (await loop.sock_recv(accepted, 1_000)).startswith(b"GET /ready"):
                        break
        readiness.close()
        assert proven == []


def connecting(port: int) -> set[str]:
    """From where connects to this port of loopback are on their way, by the kernel's table."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2] == f"0100007F:{port:04X}" and row[3] == _SYN_SENT}


async def dropped_connect(full: socket.socket) -> socket.socket:
    filler = socket.socket()
    filler.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        filler.connect(full.getsockname())
    await asyncio.sleep(0.01)
    return filler


def test_many_that_start_at_once_are_each_asked_less_often() -> None:
    pace = Pace()
    assert (pace.pause(0.0), pace.pause(1.0), pace.pause(600.0)) == (0.01, 0.03, 0.05)
    pace.repeating = 500
    assert pace.pause(0.0) == 0.5
