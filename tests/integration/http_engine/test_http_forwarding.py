"""What passes through: requests and answers of every framing, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from queue_proxy.http import Outcome, error_answer
from tests.integration.http_engine.http_world import GET, HELLO, World
from tests.until import until


def model_that(world: World, *answers: bytes, close: bool = False) -> list[bytes]:
    """The model gives these answers to requests without a body; returns the heads that it gets."""
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        if not close:
            await reader.read()

    world.model = script
    return heads


async def test_requests_on_one_connection_use_one_upstream_connection(world: World) -> None:
    client = await world.client()
    for _ in range(5):
        client.send(GET)
        assert await client.exactly(len(HELLO)) == HELLO
    assert world.connections == 1
    assert world.outcomes == [[Outcome.COMPLETED]] * 5


async def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    async def echo_target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(target), target))

    world.model = echo_target
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: m\r\n\r\n" % n for n in range(20))
    answer = await world.ask(requests[:-2] + b"Connection: close\r\n\r\n")
    assert [part.split(b"\r\n\r\n/")[1] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"%d" % n for n in range(20)]


async def test_header_lines_travel_as_they_came_without_those_of_the_connection(world: World) -> None:
    heads = model_that(world, HELLO)
    await world.ask(
        b"GET /v2/models?x=1 HTTP/1.1\r\nHOST: model\r\nX-oDd:  kept \r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
        b"Keep-Alive: timeout=5\r\nPilotlight-Secret: 1\r\nTE: trailers, deflate\r\nCookie: a=b\r\n\r\n"
    )
    assert heads == [
        b"GET /v2/models?x=1 HTTP/1.1\r\nHOST: model\r\nX-oDd:  kept \r\nCookie: a=b\r\nte: trailers\r\n\r\n"
    ]


async def test_a_body_of_known_length_arrives_whole(world: World) -> None:
    body = bytes(range(256)) * 4096

    async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen = hashlib.sha256(await reader.readexactly(len(body))).hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n" + seen)
        await reader.read()

    world.model = digest
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await client.head()
    assert await client.exactly(64) == hashlib.sha256(body).hexdigest().encode()


async def test_chunks_trailers_and_extensions_pass_unchanged_in_both_directions(world: World) -> None:
    chunked = b'5;name="v"\r\nhello\r\n6\r\n world\r\n0\r\nX-Checksum: 7\r\n\r\n'
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got.append(await reader.readexactly(len(chunked)))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(len(chunked)):
            writer.write(chunked[at : at + 1])
            await asyncio.sleep(0)
        await reader.read()

    world.model = script
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked)
    await client.head()
    assert await client.exactly(len(chunked)) == chunked
    assert got == [chunked]
    client.send(GET)
    await until(lambda: len(world.dispatcher.slots) == 2)


async def test_a_head_that_arrives_byte_by_byte_is_the_same_head(world: World) -> None:
    heads = model_that(world, HELLO)
    client = await world.client()
    for byte in GET:
        client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await client.exactly(len(HELLO)) == HELLO
    assert heads == [GET]


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_end_with_their_head(world: World, request_line: bytes, answer: bytes) -> None:
    model_that(world, answer, HELLO)
    client = await world.client()
    for expected in (answer, HELLO):
        client.send(request_line + GET[3:] if expected is answer else GET)
        assert await client.exactly(len(expected)) == expected
    assert world.connections == 1


async def test_an_http_1_0_client_gets_an_answer_that_ends_with_the_connection(world: World) -> None:
    heads = model_that(world, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    answer = await world.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert answer == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"
    assert heads == [b"GET / HTTP/1.0\r\n\r\n"]


async def test_an_answer_that_ends_with_its_connection_ends_the_clients_too(world: World) -> None:
    model_that(world, b"HTTP/1.0 200 Fine\r\nx: y\r\n\r\nhello", close=True)
    assert await world.ask(GET) == b"HTTP/1.1 200 Fine\r\nx: y\r\nconnection: close\r\n\r\nhello"
    assert world.outcomes == [[Outcome.COMPLETED]]


async def test_interim_answers_are_passed_on_and_the_body_follows(world: World) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Expect: 100-continue" in head
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(4) == b"body"
        writer.write(HELLO)
        await reader.read()

    world.model = script
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"body")
    assert await client.exactly(len(HELLO)) == HELLO
    client.send(GET)
    await until(lambda: len(world.dispatcher.slots) == 2)


async def test_an_answer_before_the_body_has_come_ends_the_connection_and_is_readable(world: World) -> None:
    model_that(world, b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    head = await client.head()
    client.send(b"x" * 500_000)
    assert head == b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
    assert await client.rest() == b"no"
    assert world.outcomes == [[Outcome.COMPLETED]]


async def test_an_upgraded_connection_is_a_tunnel_until_both_sides_have_ended(world: World) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(switching + b"greeting")
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.write(b"bye")

    world.model = script
    client = await world.client()
    client.send(
        b"GET /ws HTTP/1.1\r\nHost: m\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\n\r\n"
    )
    assert await client.head() == switching
    assert await client.exactly(8) == b"greeting"
    client.send(b"GET / HTTP/1.1 is not a request here")
    assert await client.exactly(36) == b"GET / HTTP/1.1 IS NOT A REQUEST HERE"
    client.writer.write_eof()
    assert await client.rest() == b"bye"
    await world.dispatcher.slots[0].released.wait()
    assert world.outcomes == [[Outcome.COMPLETED]]
    assert heads[0].endswith(b"Sec-WebSocket-Key: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")


async def test_a_refused_upgrade_is_an_ordinary_answer(world: World) -> None:
    model_that(world, HELLO, HELLO)
    client = await world.client()
    client.send(b"GET / HTTP/1.1\r\nHost: m\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert await client.exactly(len(HELLO)) == HELLO
    client.send(GET)
    assert await client.exactly(len(HELLO)) == HELLO


async def test_a_client_that_does_not_read_stops_the_model_from_sending(world: World) -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 200000000\r\n\r\n")
        while written < 200_000_000:
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    world.model = flood
    client = await world.client()
    client.send(GET)
    await client.head()
    before = -1
    while before != written:
        before = written
        await asyncio.sleep(0.3)
    assert written < 60_000_000
    client.reset()
    await world.dispatcher.slots[0].released.wait()
    assert world.outcomes == [[Outcome.ABANDONED]]


async def test_a_model_that_does_not_read_stops_the_client_from_sending(world: World) -> None:
    test_is_over = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await test_is_over.wait()

    world.model = stuck
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 200000000\r\n\r\n")
    sent, before = 0, -1
    while before != sent:
        before = sent
        try:
            async with asyncio.timeout(0.5):
                while sent < 200_000_000:
                    client.send(b"x" * 100_000)
                    await client.writer.drain()
                    sent += 100_000
        except TimeoutError:
            pass
    assert sent < 60_000_000
    client.reset()
    # Reading is paused, so nobody is told that the client left; it is noticed all the same.
    await asyncio.wait_for(world.dispatcher.slots[0].released.wait(), 10)
    assert world.outcomes == [[Outcome.ABANDONED]]
    test_is_over.set()


async def test_a_body_that_waits_is_held_up_to_a_bound_and_then_forwarded_whole(world: World) -> None:
    body = bytes(range(256)) * 2000
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got.append(await reader.readexactly(len(body)))
        writer.write(HELLO)
        await reader.read()

    world.model = script
    world.dispatcher.hold = True
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await world.dispatcher.arrived.wait()
    [exchange] = world.dispatcher.held
    await until(lambda: exchange.buffered >= 16384)
    await asyncio.sleep(0.05)
    assert exchange.buffered < 16384 + 262_144
    world.dispatcher.forward(exchange)
    assert await client.exactly(len(HELLO)) == HELLO
    assert exchange.buffered == 0
    assert got == [body]


async def test_a_refused_request_keeps_its_connection(world: World) -> None:
    world.dispatcher.hold = True
    client = await world.client()
    for _ in range(3):
        client.send(GET)
        await until(lambda: bool(world.dispatcher.held))
        world.dispatcher.held.pop().answer(error_answer(429, "full", retry_after=3))
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"retry-after: 3\r\n" in head
        assert b"connection" not in head
        assert await client.exactly(17) == b'{"error": "full"}'
