"""How many clients may be connected at once, and what becomes of one too many."""

from __future__ import annotations

import asyncio

from tests.integration.queue_proxy.queue_proxy_harness import Call, Proxy, ok, read_reply, request_bytes, serving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def quick(call: Call) -> bytes:
    return ok(b"done")


async def connected(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(request_bytes("/"))
    assert (await read_reply(reader)).status == 200
    return reader, writer


async def test_one_connection_too_many_is_told_so_and_one_that_comes_after_another_left_is_served() -> None:
    async with serving(quick, "--connections", "2") as (_model, proxy):
        (_, first), (_, second) = [await connected(proxy) for _ in range(2)]
        reader, third = await asyncio.open_connection("127.0.0.1", proxy.port)
        third.write(request_bytes("/"))
        reply = await read_reply(reader)
        assert (reply.status, reply.headers[b"connection"]) == (503, b"close")
        assert b"2 connections are open, and more are not allowed" in reply.body
        assert await reader.read() == b""
        first.transport.abort()
        async with asyncio.timeout(60):
            while True:
                reader, fourth = await asyncio.open_connection("127.0.0.1", proxy.port)
                fourth.write(request_bytes("/"))
                if (await read_reply(reader)).status == 200:
                    break
                fourth.transport.abort()
        for writer in (second, third, fourth):
            writer.transport.abort()


async def test_one_http2_connection_too_many_hears_that_nothing_of_it_was_served() -> None:
    async with serving(quick, "--connections", "1") as (_model, proxy):
        _, first = await connected(proxy)
        reader, second = await asyncio.open_connection("127.0.0.1", proxy.port)
        second.write(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        settings, goaway = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((0, 0, 8, 7, 0, 0, 0, 0, 0)) + bytes(8)
        assert await reader.read() == settings + goaway
        for writer in (first, second):
            writer.transport.abort()


async def test_one_too_many_that_says_nothing_is_not_waited_for() -> None:
    async with serving(quick, "--connections", "1") as (_model, proxy):
        _, first = await connected(proxy)
        reader, second = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        for writer in (first, second):
            writer.transport.abort()
