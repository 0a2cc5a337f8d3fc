"""What lasts longer than a request has its grace when something is replaced, and a second order to end leaves none."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.main_job.harness import Up, alive, journal_service, running_up, wait_for
from tests.integration.main_job.request_swarm import run, send_all
from tests.integration.rolling.test_rolling_loses_nothing import SERVICE, lean_service, ready

GRACE_SECONDS = 3.0
# The streams would go on for longer, and so would a drain that waits for them.
AT_ONCE_SECONDS = 10.0
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
EVENTS = b"GET /events HTTP/1.1\r\nHost: m\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Stream:
    """A connection on which bytes come until it ends; `end` is the end of what came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.end = b""
        self.last_at = time.monotonic()
        self._reader = reader
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> float:
        """When it ended."""
        try:
            while data := await self._reader.read(65_536):
                self.end = (self.end + data)[-64:]
                self.last_at = time.monotonic()
        except ConnectionError:
            pass
        return time.monotonic()


@asynccontextmanager
async def stream(port: int, request: bytes) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head or b" 101 " in head
        yield Stream(reader, writer)
    finally:
        writer.close()


async def echoes(tunnel: Stream, word: bytes) -> None:
    tunnel.writer.write(word)
    async with asyncio.timeout(60):
        while not tunnel.end.endswith(word):
            await asyncio.sleep(0.01)


async def comes(events: Stream) -> None:
    """Something more has come."""
    last = events.last_at
    async with asyncio.timeout(60):
        while events.last_at == last:
            await asyncio.sleep(0.01)


def with_grace() -> dict[str, object]:
    service = lean_service(1)
    spec = service["spec"]
    assert isinstance(spec, dict)
    spec["predictor"]["terminationGracePeriodSeconds"] = int(GRACE_SECONDS)
    return service


@pytest.mark.slow
@pytest.mark.parametrize("order", [signal.SIGUSR1, signal.SIGUSR2], ids=["activator", "replica"])
def test_streams_and_upgraded_connections_live_on_until_their_grace_ends_and_are_cut_visibly(
    tmp_path: Path, order: signal.Signals
) -> None:
    async def watch(up: Up) -> None:
        port = up.ports[SERVICE]
        async with stream(port, EVENTS) as events, stream(port, UPGRADE) as tunnel:
            await echoes(tunnel, b"before")
            ordered_at = time.monotonic()
            up.process.send_signal(order)
            while time.monotonic() < ordered_at + GRACE_SECONDS - 0.5:
                await echoes(tunnel, b"during %d" % time.monotonic_ns())
                await comes(events)
            ended = await asyncio.gather(events.reading, tunnel.reading)
            assert all(GRACE_SECONDS <= at - ordered_at < GRACE_SECONDS + 10 for at in ended)
            assert not events.end.endswith(LAST_CHUNK)

    with running_up(tmp_path, [with_grace()], "--drain-seconds", f"{GRACE_SECONDS:g}") as up:
        wait_for("a replica", lambda: ready(up))
        run(watch(up))


def _of(*fragments: str) -> Callable[[Up], int]:
    return lambda up: up.processes(*fragments)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "told"),
    [
        (_of("-m activator"), "the activator died (exit code 143)"),
        (_of("-m queue_proxy"), "the queue proxy ended: exit code 143"),
    ],
    ids=["activator", "queue proxy"],
)
def test_a_second_order_ends_a_component_at_once(tmp_path: Path, process: Callable[[Up], int], told: str) -> None:
    async def order_twice(up: Up) -> None:
        pid = process(up)
        async with stream(up.ports[SERVICE], EVENTS) as events:
            os.kill(pid, signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert alive(pid)
            await comes(events)
            os.kill(pid, signal.SIGTERM)
            async with asyncio.timeout(AT_ONCE_SECONDS):
                while alive(pid):
                    await asyncio.sleep(0.005)

    with running_up(tmp_path, [lean_service(1)]) as up:
        wait_for("a replica", lambda: ready(up))
        run(order_twice(up))
        wait_for(told, lambda: told in up.output.read_text())


@pytest.mark.slow
def test_a_second_order_ends_the_whole_machine_at_once(tmp_path: Path) -> None:
    async def order_twice(up: Up) -> None:
        async with stream(up.ports[SERVICE], EVENTS):
            up.process.send_signal(signal.SIGTERM)
            wait_for("the drain", lambda: "draining" in up.output.read_text())
            await asyncio.sleep(0.5)
            assert up.process.poll() is None
            up.process.send_signal(signal.SIGTERM)
            assert up.process.wait(AT_ONCE_SECONDS) == 143

    up = Up(tmp_path, [lean_service(1)])
    try:
        up.wait_until_serving()
        wait_for("a replica", lambda: ready(up))
        run(order_twice(up))
        assert up.processes() == []
    finally:
        up.stop(signal.SIGKILL)


@pytest.mark.slow
def test_an_activator_that_is_replaced_while_it_holds_requests_of_a_waking_service_finishes_them(
    tmp_path: Path,
) -> None:
    service = journal_service(
        "waking", tmp_path / "journal", load_seconds=4.0, predictor={"minReplicas": 0, "maxReplicas": 1}
    )

    async def ask_and_roll(up: Up) -> list[list[int]]:
        asking = asyncio.create_task(send_all("127.0.0.1", up.ports["default/waking"], 20, within=60))
        while not up.processes("journal_model.py"):
            await asyncio.sleep(0.02)
        up.process.send_signal(signal.SIGUSR1)
        while "at work" not in up.output.read_text():
            await asyncio.sleep(0.02)
        later = asyncio.create_task(send_all("127.0.0.1", up.ports["default/waking"], 20, "later", within=60))
        return [answer.statuses for answer in (*await asking, *await later)]

    with running_up(tmp_path, [service]) as up:
        assert run(ask_and_roll(up)) == [[200]] * 40
