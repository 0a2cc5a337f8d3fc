"""Event streams that begin while a request still waits."""

from __future__ import annotations

import asyncio
import json

import pytest

from queue_proxy.http import Exchange, Outcome, Timeouts, error_answer
from tests.integration.http_engine.http_world import GET, HELLO, Client, World
from tests.until import until

OLD = b"GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
EVENTS = b"data: one\n\ndata: two\n\n"


async def begin(world: World, request: bytes) -> tuple[Client, Exchange]:
    """A client whose stream has begun and who has got one comment."""
    world.dispatcher.hold = True
    client = await world.client()
    client.send(request)
    await until(lambda: bool(world.dispatcher.held))
    exchange = world.dispatcher.held.pop()
    exchange.begin_events()
    exchange.begin_events()
    exchange.comment(b"waiting\r\n\r\ndata: not an event")
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
    return client, exchange


def payload_of(rest: bytes, request: bytes) -> tuple[str, bool]:
    """The text of an answer's body, and whether it ended validly."""
    if request is OLD:
        return rest.decode(), True
    text = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if size == b"0":
            assert rest == b"\r\n"
            return text.decode(), True
        text += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return text.decode(), False


def answers(world: World, *parts: bytes, close: bool = False) -> list[bytes]:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        if not close:
            await reader.read()

    world.model = script
    return heads


CLOSING = GET[:-2] + b"Connection: close\r\nAccept-Encoding: gzip\r\n\r\n"


@pytest.mark.parametrize("request_", [CLOSING, OLD], ids=["1.1", "1.0"])
@pytest.mark.parametrize(
    ("parts", "close"),
    [
        (
            (
                EVENTS_HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\n",
                EVENTS[:11] + b"\r\nb\r\n",
                EVENTS[11:] + b"\r\n0\r\n\r\n",
            ),
            False,
        ),
        ((EVENTS_HEAD + b"Content-Length: 22\r\n\r\n" + EVENTS,), False),
        ((EVENTS_HEAD + b"\r\n", EVENTS), True),
    ],
    ids=["chunked", "length", "until close"],
)
async def test_the_models_events_follow_the_comments(
    world: World, request_: bytes, parts: tuple[bytes, ...], close: bool
) -> None:
    heads = answers(world, *parts, close=close)
    client, exchange = await begin(world, request_)
    world.dispatcher.forward(exchange)
    exchange.comment(b"soon")
    text, valid = payload_of(await client.rest(), request_)
    assert text == ": waiting    data: not an event\n\n: soon\n\n" + EVENTS.decode()
    assert valid
    assert world.outcomes == [[Outcome.COMPLETED]]
    assert b"ccept-" not in heads[0], "an encoded stream could not follow a plain one"


@pytest.mark.parametrize("request_", [CLOSING, OLD], ids=["1.1", "1.0"])
@pytest.mark.parametrize(
    ("answer", "status", "content"),
    [
        (b'HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\n{"error": "x"}', 400, {"error": "x"}),
        (HELLO, 200, {"error": "hello"}),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, {"error": ""}),
        (EVENTS_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nzz", 200, {"error": "zz"}),
    ],
)
async def test_what_is_no_event_stream_becomes_one_error_event(
    world: World, request_: bytes, answer: bytes, status: int, content: object
) -> None:
    answers(world, answer)
    client, exchange = await begin(world, request_)
    world.dispatcher.forward(exchange)
    text, valid = payload_of(await client.rest(), request_)
    event = text.split("\n\n")[1]
    assert event.startswith("event: error\ndata: ")
    assert json.loads(event.partition("data: ")[2]) == {"status": status, "answer": content}
    assert valid
    assert world.outcomes == [[Outcome.COMPLETED]]


async def test_our_own_answer_is_an_error_event_too(world: World) -> None:
    client, exchange = await begin(world, CLOSING)
    exchange.answer(error_answer(503, "no replica became ready"))
    text, valid = payload_of(await client.rest(), CLOSING)
    assert '{"status": 503, "answer": {"error": "no replica became ready"}}' in text
    assert valid


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf"])
async def test_a_model_that_dies_before_its_events_is_an_error_event(world: World, answer: bytes) -> None:
    answers(world, answer, close=True)
    client, exchange = await begin(world, CLOSING)
    world.dispatcher.forward(exchange)
    text, valid = payload_of(await client.rest(), CLOSING)
    assert '"status": 502' in text
    assert valid
    assert world.outcomes == [[Outcome.FAILED]]


async def test_a_timeout_before_the_events_is_an_error_event(world: World) -> None:
    world.use(timeouts=Timeouts(response_start=0.2))
    answers(world)
    client, exchange = await begin(world, CLOSING)
    world.dispatcher.forward(exchange)
    text, valid = payload_of(await client.rest(), CLOSING)
    assert '"status": 504' in text
    assert valid


async def test_events_that_break_off_break_off_for_the_client(world: World) -> None:
    answers(world, EVENTS_HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + EVENTS[:11] + b"\r\n", close=True)
    client, exchange = await begin(world, CLOSING)
    world.dispatcher.forward(exchange)
    text, valid = payload_of(await client.rest(), CLOSING)
    assert text.endswith("data: one\n\n")
    assert not valid
    assert world.outcomes == [[Outcome.FAILED]]


async def test_the_connection_serves_the_next_request_after_events(world: World) -> None:
    answers(world, EVENTS_HEAD + b"Content-Length: 22\r\n\r\n" + EVENTS, HELLO)
    client, exchange = await begin(world, GET)
    world.dispatcher.hold = False
    world.dispatcher.forward(exchange)
    await asyncio.wait_for(client.reader.readuntil(b"0\r\n\r\n"), 10)
    client.send(GET)
    await until(lambda: len(world.dispatcher.slots) == 2)


@pytest.mark.parametrize(
    "request_",
    [b"HEAD / HTTP/1.1\r\nHost: m\r\n\r\n", b"GET / HTTP/1.1\r\nHost: m\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"],
)
async def test_no_events_begin_where_none_could_follow(world: World, request_: bytes) -> None:
    world.dispatcher.hold = True
    client = await world.client()
    client.send(request_)
    await until(lambda: bool(world.dispatcher.held))
    exchange = world.dispatcher.held.pop()
    exchange.begin_events()
    exchange.comment(b"nothing")
    exchange.answer(error_answer(503, "no"))
    assert (await client.head()).startswith(b"HTTP/1.1 503 ")
