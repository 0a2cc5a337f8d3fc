"""A server that drains: idle clients leave, work ends, and what does not end is cut when patience does."""

from __future__ import annotations

import asyncio

import pytest

from queue_proxy.http import Outcome
from tests.integration.http_engine.http_world import GET, World, silent
from tests.until import until


async def test_upgraded_connections_outlive_a_drain_until_patience_ends(world: World) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)

    world.model = echo
    client = await world.client()
    client.send(b"GET / HTTP/1.1\r\nHost: m\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    await client.head()
    world.server.begin_drain()
    client.send(b"still here")
    assert await client.exactly(10) == b"still here"
    await world.server.wait_closed(0)
    assert world.outcomes == [[Outcome.ABANDONED]]


async def test_a_drain_closes_idle_connections_and_tells_the_others(world: World) -> None:
    world.dispatcher.hold = True
    idle, active = await world.client(), await world.client()
    active.send(GET)
    await world.dispatcher.arrived.wait()
    await until(lambda: world.server.connections == 2)
    world.server.begin_drain()
    assert await idle.rest() == b""
    closed = asyncio.ensure_future(world.server.wait_closed(10))
    world.dispatcher.forward(world.dispatcher.held[0])
    assert b"connection: close\r\n" in await active.head()
    assert await active.rest() == b"hello"
    await closed
    assert world.server.connections == 0


async def test_a_drain_that_loses_patience_cuts_what_is_left(world: World) -> None:
    world.model = silent
    client = await world.client()
    client.send(GET)
    await until(lambda: bool(world.dispatcher.slots))
    world.server.begin_drain()
    patient = asyncio.ensure_future(world.server.wait_closed(60))
    await asyncio.sleep(0)
    await world.server.wait_closed(0)
    await asyncio.wait_for(patient, 5)
    assert world.outcomes == [[Outcome.ABANDONED]]
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.head()


async def test_an_answer_that_had_begun_before_the_drain_leaves_its_client_time_for_another_request(
    world: World,
) -> None:
    go_on = asyncio.Event()

    async def half_then_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            await go_on.wait()
            writer.write(b"world")

    world.model = half_then_all
    client = await world.client()
    client.send(GET)
    assert b"connection: close" not in await client.head()
    world.server.begin_drain(patience=5.0)
    go_on.set()
    assert await client.exactly(10) == b"helloworld"
    client.send(GET)
    assert b"connection: close\r\n" in await client.head()
    assert await client.rest() == b"helloworld"
