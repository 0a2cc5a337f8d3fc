"""What a proxy must not let through: requests that somebody before or behind it may read in another way.

Every entry is sent over a real socket to a real engine; the model behind it must not see a byte of it.
"""

from __future__ import annotations

import asyncio
import re

import pytest

from queue_proxy.http import HttpLimits
from tests.integration.http_engine.http_world import HELLO, World
from tests.security.http_attacks import CHUNKED, REFUSED, H


async def answer_to(data: bytes, *, cut: bool) -> tuple[bytes, World]:
    """What the engine answers until it closes, and the world in which it did."""
    world = World()
    await world.start()
    world.dispatcher.hold = True
    try:
        client = await world.client()
        if cut:
            # Byte by byte where it matters; the filling of overlong heads in one piece.
            for at in range(0, len(data), max(1, len(data) // 200)):
                client.send(data[at : at + max(1, len(data) // 200)])
                await asyncio.sleep(0)
        else:
            client.send(data)
        return await client.rest(), world
    finally:
        await world.stop()


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_could_be_read_in_two_ways_is_refused_and_never_forwarded(
    data: bytes, status: int, cut: bool
) -> None:
    answer, world = await answer_to(data, cut=cut)
    assert re.findall(rb"HTTP/1.1 (\d\d\d) ", answer) == [b"%d" % status]
    assert b"connection: close\r\n" in answer
    # A body can break off after its head has arrived; then whoever decides is told that it is gone.
    assert len(world.dispatcher.held) <= (1 if cut and data.startswith(CHUNKED) else 0)
    assert world.dispatcher.left == world.dispatcher.held
    counted = world.server.oversize_total if status == 431 else world.server.malformed_total
    assert counted == 1


async def test_nothing_behind_a_refused_request_is_served() -> None:
    evil = b"GET / HTTP/1.1\r\nHost: m\r\nX : y\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: m\r\n\r\n"
    answer, world = await answer_to(evil, cut=False)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert world.dispatcher.slots == []


async def test_a_body_is_never_read_as_a_request() -> None:
    world = World()
    await world.start()
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            if head.startswith(b"POST"):
                await reader.readexactly(len(inner))
            writer.write(HELLO)

    inner = b"GET /inner HTTP/1.1\r\nHost: m\r\n\r\n"
    world.model = script
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
    assert await client.exactly(len(HELLO)) == HELLO
    client.send(b"GET /next HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n")
    await client.rest()
    assert [head.split(b" ")[1] for head in heads] == [b"/", b"/next"]
    await world.stop()


async def test_an_upgrade_to_http_2_opens_no_tunnel() -> None:
    world = World()
    await world.start()
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        await reader.read()

    world.model = script
    client = await world.client()
    client.send(
        b"GET / HTTP/1.1\r\n"
        + H
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    assert heads == [b"GET / HTTP/1.1\r\nHost: m\r\n\r\n"]
    await world.stop()


async def test_slow_heads_do_not_hold_a_connection_for_ever() -> None:
    world = World()
    await world.start()
    world.use(limits=HttpLimits(head_seconds=0.3, linger_seconds=0.2))
    client = await world.client()
    for byte in b"GET / HTTP/1.1\r\n":
        client.send(bytes([byte]))
        await asyncio.sleep(0.03)
    assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
    assert world.server.slow_heads_total == 1
    await world.stop()
