"""What breaks: clients that leave, models that die or are slow, and how each becomes visible."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from queue_proxy.http import Exchange, HttpLimits, Outcome, Timeouts, Upstream
from tests.integration.http_engine.http_world import GET, HELLO, Script, World, silent
from tests.until import until


def dies_after(answer: bytes, *, reset: bool = False) -> Script:
    """A model that reads one request, writes `answer` and closes or resets."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await asyncio.sleep(0.05)
        if reset:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return script


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncont", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_model_that_dies_before_its_answer_is_one_502(world: World, answer: bytes, reset: bool) -> None:
    world.model = dies_after(answer, reset=reset)
    client = await world.client()
    client.send(GET)
    if b"100" in answer:
        await client.head()
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert world.outcomes == [[Outcome.FAILED]]
    assert world.connections == 1, "it was not sent a second time"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
async def test_a_model_that_dies_in_its_answer_cuts_the_clients_answer(world: World, answer: bytes) -> None:
    world.model = dies_after(answer)
    assert await world.ask(GET) == answer
    assert world.outcomes == [[Outcome.FAILED]]


async def test_where_an_end_would_look_valid_the_client_is_reset(world: World) -> None:
    world.model = dies_after(b"HTTP/1.1 200 OK\r\n\r\nhello", reset=True)
    with pytest.raises(ConnectionResetError):
        await world.ask(GET)
    assert world.outcomes == [[Outcome.FAILED]]


async def test_an_http_1_0_client_is_reset_when_chunks_break_off(world: World) -> None:
    world.model = dies_after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    with pytest.raises(ConnectionResetError):
        await world.ask(b"GET / HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\ncontent-length: 5\n\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nbad name: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_an_answer_that_is_not_http_is_a_502(world: World, answer: bytes) -> None:
    world.model = dies_after(answer)
    client = await world.client()
    client.send(GET)
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 502 ")
    assert await world.dispatcher.slots[0].released.wait()
    assert world.outcomes == [[Outcome.FAILED]]


async def test_a_reused_connection_that_dies_is_a_502_and_not_a_second_try(world: World) -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        got.append(await reader.readuntil(b"\r\n\r\n"))

    world.model = script
    client = await world.client()
    client.send(GET)
    await client.exactly(len(HELLO))
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    assert world.connections == 1
    assert got == [GET]


async def test_an_idle_connection_that_the_model_closed_is_not_used(world: World) -> None:
    world.model = dies_after(HELLO)
    client = await world.client()
    for expected in range(1, 4):
        client.send(GET)
        assert await client.exactly(len(HELLO)) == HELLO
        await until(lambda: world.upstream.idle == 0)
        assert world.connections == expected


async def test_idle_connections_are_retired_before_the_model_would_close_them(world: World) -> None:
    world.upstream.idle_seconds = 0.2
    client = await world.client()
    client.send(GET)
    await client.exactly(len(HELLO))
    assert world.upstream.idle == 1
    await until(lambda: world.upstream.idle == 0)


async def test_a_refused_connection_goes_back_to_the_dispatcher(world: World) -> None:
    world.model_server.close()
    await world.model_server.wait_closed()
    client = await world.client()
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert world.outcomes == [[Outcome.UNSENT]]


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("a" * 70 + ".example", 80)])
async def test_an_address_that_cannot_be_reached_at_all_is_told_too(world: World, host: str, port: int) -> None:
    world.dispatcher.upstream = Upstream(host, port)
    client = await world.client()
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 503 ")
    assert world.outcomes == [[Outcome.UNSENT]]


async def test_a_dispatcher_that_fails_does_not_leave_a_request_without_an_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(exchange: Exchange, upstream: Upstream, why: str) -> None:
        raise LookupError("no such endpoint")

    world.dispatcher.unreachable = broken  # type: ignore[method-assign]
    world.dispatcher.upstream = Upstream("127.0.0.1", 1)
    client = await world.client()
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    assert "could not be dispatched again" in caplog.text


async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("timeouts", [Timeouts(total=0.3), Timeouts(response_start=0.3), Timeouts(idle=0.3)])
async def test_a_timeout_before_the_answer_is_a_504(world: World, timeouts: Timeouts) -> None:
    world.model = silent
    world.use(timeouts=timeouts)
    client = await world.client()
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert world.outcomes == [[Outcome.FAILED]]


@pytest.mark.parametrize(("timeouts", "model"), [(Timeouts(total=0.3), drips), (Timeouts(idle=0.3), stalls)])
async def test_a_timeout_in_the_answer_cuts_it_without_a_word(world: World, timeouts: Timeouts, model: Script) -> None:
    world.model = model
    world.use(timeouts=timeouts)
    answer = await world.ask(GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert set(answer.partition(b"\r\n\r\n")[2]) <= set(b"hellox")
    assert world.outcomes == [[Outcome.FAILED]]


async def test_bytes_that_flow_keep_the_idle_timeout_away(world: World) -> None:
    world.model = drips
    world.use(timeouts=Timeouts(idle=0.3))
    client = await world.client()
    client.send(GET)
    await client.head()
    await client.exactly(40)
    assert world.outcomes == [[]]


async def test_timeouts_replaced_while_a_request_runs_hold_for_it(world: World) -> None:
    world.model = silent
    world.use(timeouts=Timeouts(total=3600))
    client = await world.client()
    client.send(GET)
    await until(lambda: bool(world.dispatcher.slots))
    world.use(timeouts=Timeouts(total=0.2))
    assert (await client.head()).startswith(b"HTTP/1.1 504 ")


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("model", [silent, stalls])
async def test_a_client_that_leaves_ends_the_models_connection(world: World, model: Script, reset: bool) -> None:
    world.model = model
    client = await world.client()
    client.send(GET)
    await until(lambda: world.connections == 1)
    await asyncio.sleep(0.02)
    if reset:
        client.reset()
    else:
        client.writer.write_eof()
    await asyncio.wait_for(world.dispatcher.slots[0].released.wait(), 10)
    assert world.outcomes == [[Outcome.ABANDONED]]
    assert world.upstream.idle == 0


async def test_a_client_that_leaves_while_it_waits_is_told_to_the_dispatcher(world: World) -> None:
    world.dispatcher.hold = True
    client = await world.client()
    client.send(GET)
    await world.dispatcher.arrived.wait()
    client.writer.close()
    await asyncio.wait_for(world.dispatcher.somebody_left.wait(), 10)
    assert world.dispatcher.left == world.dispatcher.held


async def test_a_client_that_leaves_with_a_large_body_held_is_noticed_though_reading_is_paused(world: World) -> None:
    world.dispatcher.hold = True
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
    await world.dispatcher.arrived.wait()
    await until(lambda: world.dispatcher.held[0].buffered >= 16384)
    client.writer.close()
    await asyncio.wait_for(world.dispatcher.somebody_left.wait(), 10)


async def test_a_head_that_does_not_end_is_a_408(world: World) -> None:
    world.use(limits=HttpLimits(head_seconds=0.2))
    client = await world.client()
    client.send(GET[:-2])
    assert (await client.head()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert world.server.slow_heads_total == 1


async def test_a_connection_without_requests_is_closed(world: World) -> None:
    world.use(limits=HttpLimits(idle_seconds=0.3))
    client = await world.client()
    client.send(GET)
    await client.exactly(len(HELLO))
    assert await client.rest() == b""
