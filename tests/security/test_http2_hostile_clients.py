"""Hostile HTTP/2 clients against a real queue proxy: memory stays bounded, slots come back, others are served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, Frame, FrameReader, frame
from tests.integration.queue_proxy.queue_proxy_harness import Call, Proxy, ok, request, serving
from tests.unit.http2.http2_core import GET, HELLO, data
from tests.unit.http2.http2_core import request as stream_request
from tests.until import until

MEGABYTE = 1_048_576


def memory(proxy: Proxy) -> int:
    """Bytes of resident memory."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


class Raw:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader(most_bytes=2**24)

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def until_gone(self) -> list[Frame]:
        """All frames until the connection's end."""
        said: list[Frame] = []
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                while part := await self.reader.read(65_536):
                    said += self._frames.feed(part)
        return said


@contextlib.asynccontextmanager
async def raw_client(proxy: Proxy) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(HELLO)
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def goaways(said: list[Frame]) -> list[ErrorCode]:
    return [ErrorCode(int.from_bytes(payload[4:8], "big")) for kind, _, _, payload in said if kind == frames.GOAWAY]


async def one_megabyte(call: Call) -> bytes:
    return ok(bytes(MEGABYTE))


async def test_answers_that_nobody_reads_are_not_held() -> None:
    async with serving(one_megabyte) as (_, proxy):
        assert len((await request(proxy.port)).body) == MEGABYTE
        before = memory(proxy)
        async with raw_client(proxy) as client:
            await client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 0}))
            await client.send(b"".join(stream_request(number) for number in range(1, 401, 2)))
            await proxy.until_stats(running=200)
            assert (await request(proxy.port)).status == 200
            assert memory(proxy) - before < 60 * MEGABYTE, "200 MB were on offer"
        await proxy.until_stats(running=0, abandoned=200)


async def test_bodies_of_requests_that_wait_are_held_within_one_window_each() -> None:
    gate = asyncio.Event()

    async def wait(call: Call) -> bytes:
        await gate.wait()
        return ok()

    async with serving(wait, "--limit", "1", "--queue-requests", "1000") as (_, proxy):
        before = memory(proxy)
        first = asyncio.ensure_future(request(proxy.port))
        await proxy.until_stats(running=1)
        async with raw_client(proxy) as client:
            for number in range(1, 401, 2):
                await client.send(stream_request(number, ended=False) + data(number, bytes(16_000)) * 4)
            await proxy.until_stats(waiting=200, held_bytes=200 * 64_000)
            assert memory(proxy) - before < 40 * MEGABYTE
            await client.send(data(1, bytes(16_000)))
            await proxy.until_stats(waiting=199)
        gate.set()
        assert (await first).status == 200
        await proxy.until_stats(running=0, waiting=0)


async def test_rapid_resets_end_the_connection_and_every_slot_comes_back() -> None:
    async with serving(one_megabyte, "--limit", "5") as (_, proxy):
        async with raw_client(proxy) as client:
            for at in range(1, 3_001, 2):
                client.writer.write(stream_request(at))
                client.writer.write(frames.reset_frame(at, ErrorCode.CANCEL))
                if at % 50 == 1:
                    await asyncio.sleep(0)
            assert goaways(await client.until_gone()) == [ErrorCode.ENHANCE_YOUR_CALM]
        await proxy.until_stats(running=0, waiting=0)
        assert (await request(proxy.port)).status == 200


async def test_a_client_that_never_reads_what_we_answer_is_not_read_any_more() -> None:
    async with serving(one_megabyte, "--limit", "1") as (_, proxy):
        before = memory(proxy)
        async with raw_client(proxy) as client:
            client.writer.transport.set_write_buffer_limits(0)
            number = 1
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(4):
                    while number < 400_000:
                        part = b"".join(
                            stream_request(at, pairs=((b":method", b"CONNECT"), *GET[3:]))
                            for at in range(number, number + 200, 2)
                        )
                        number += 200
                        await client.send(part)
            assert memory(proxy) - before < 20 * MEGABYTE
        assert (await request(proxy.port)).status == 200


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(frames.PING, 0, 0, bytes(8)), id="ping"),
        pytest.param(frames.settings_frame({}), id="settings"),
        pytest.param(frame(200, 0, 0, b""), id="unknown"),
        pytest.param(frame(frames.HEADERS, 0, 1, b"") + frame(frames.CONTINUATION, 0, 1, b"") * 100, id="continuation"),
    ],
)
async def test_floods_end_the_connection_with_a_word_and_hurt_nobody_else(flood: bytes) -> None:
    async with serving(one_megabyte) as (_, proxy):
        async with raw_client(proxy) as client:
            for _ in range(100):
                await client.send(flood * 50)
            said = await client.until_gone()
            assert goaways(said) == [ErrorCode.ENHANCE_YOUR_CALM]
        assert (await request(proxy.port)).status == 200
        await until(lambda: memory(proxy) < 80 * MEGABYTE)
