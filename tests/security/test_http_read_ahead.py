"""What clients send ahead of their answers takes no more together than it may, and costs them their connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from queue_proxy.http import Answer, HttpLimits, HttpServer, ReadAhead, most_body_bytes, most_waiting_bytes
from queue_proxy.http.client import ClientConnection
from queue_proxy.http2.frames import CONTINUATION, DATA, HEADERS, PREFACE, frame, headers_frames, settings_frame
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.hpack_table import Pair
from queue_proxy.http2.server_connection import ServerConnection
from tests.unit.http2.http2_world import Deciding
from tests.unit.http_engine.http_fakes import FakeDispatcher, FakeTransport, FakeUpstream, connect

GET = b"GET / HTTP/1.1\r\nHost: m\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: m\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
POST: tuple[Pair, ...] = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"m"))
MOST = 100_000
LIMITS = HttpLimits(waiting_bytes=8_192)


class World:
    """A server whose requests wait, and its clients."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dispatcher = FakeDispatcher()
        self.ahead = ReadAhead(MOST)
        self.server = HttpServer(self.dispatcher, LIMITS, clock=lambda: self.now, read_ahead=self.ahead)
        self.streams = Deciding()
        self.http2_server = HttpServer(
            self.streams, LIMITS, clock=lambda: self.now, http2=ServerConnection, read_ahead=self.ahead
        )
        self.upstream = FakeUpstream(lambda: self.now)
        self.clients: list[FakeTransport] = []

    def connect(self, *sent: bytes) -> FakeTransport:
        client = connect(self.server)
        self.clients.append(client)
        for data in sent:
            client.receive(data)
        return client

    def connect_http2(self, sent: bytes) -> None:
        client = connect(lambda: ServerConnection(self.http2_server))
        self.clients.append(client)
        client.receive(sent)

    def held(self) -> int:
        """Bytes that connections hold for later, as they are and not as they are counted."""
        protocols = [client.protocol for client in self.clients]
        return sum(len(protocol._ahead) for protocol in protocols if isinstance(protocol, ClientConnection))

    def fill(self) -> None:
        """Somebody else sends as much ahead as all may."""
        self.connect(GET + b"x" * MOST)
        assert self.ahead.size == MOST

    def forward(self, number: int) -> FakeTransport:
        """To the model; the request of the client that came as that one."""
        exchange = self.dispatcher.arrived[number]
        self.dispatcher.waiting.remove(exchange)
        self.dispatcher.waiting.insert(0, exchange)
        self.dispatcher.forward_next(self.upstream)
        return self.upstream.connect_next()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for client in made.clients:
        client.lose()
    made.upstream.close()
    assert made.ahead.size == 0, "who is gone holds nothing"


@pytest.mark.parametrize("together", [True, False], ids=["in one read", "in reads of their own"])
async def test_many_who_send_ahead_hold_no_more_together_than_they_may(world: World, together: bool) -> None:
    for _ in range(1_000):
        world.connect(*((GET * 320,) if together else (GET, GET * 200, GET * 119)))
        assert world.held() == world.ahead.size <= MOST
    assert world.held() > MOST - 320 * len(GET), "and they may hold all that they may"
    assert len(world.dispatcher.waiting) == 1_000, "each has its place in line"
    assert all(client.paused for client in world.clients), "nobody is read from who has sent that much"


async def test_a_request_with_nothing_behind_it_is_served_as_ever(world: World) -> None:
    world.fill()
    client = world.connect(GET)
    world.forward(1).receive(ANSWER + b"ok")
    assert client.written == ANSWER + b"ok"
    client.receive(GET)
    assert len(world.dispatcher.arrived) == 3


async def test_who_sends_ahead_beyond_it_gets_its_answer_and_the_end_of_its_connection(world: World) -> None:
    world.fill()
    client = world.connect(GET + GET)
    assert client.paused
    world.forward(1).receive(ANSWER + b"ok")
    assert b"connection: close" in client.written.lower()
    assert client.written.endswith(b"\r\n\r\nok")
    assert client.eof_written
    client.receive(GET)
    assert len(world.dispatcher.arrived) == 2, "neither what was thrown away is served nor what still comes"


async def test_an_answer_of_our_own_says_too_that_it_is_the_last(world: World) -> None:
    world.fill()
    client = world.connect(GET + GET)
    world.dispatcher.waiting.pop().answer(Answer(204))
    assert b"connection: close" in client.written.lower()
    assert client.eof_written


async def test_what_is_sent_ahead_while_an_answer_runs_ends_the_connection_behind_it(world: World) -> None:
    world.fill()
    client = world.connect(GET)
    model = world.forward(1)
    model.receive(ANSWER + b"o")
    client.receive(GET)
    model.receive(b"k")
    assert client.written == ANSWER + b"ok"
    assert client.eof_written


async def test_an_upgrade_whose_first_bytes_were_thrown_away_does_not_happen(world: World) -> None:
    world.fill()
    client = world.connect(UPGRADE + b"first")
    world.forward(1).receive(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
    assert client.written.startswith(b"HTTP/1.1 503 ")
    assert client.eof_written


async def test_what_was_sent_ahead_counts_no_longer_once_its_turn_comes(world: World) -> None:
    client = world.connect(GET * 3)
    assert world.ahead.size == 2 * len(GET)
    for left in (1, 0):
        world.dispatcher.waiting.pop().answer(Answer(204))
        assert world.ahead.size == left * len(GET)
    world.dispatcher.waiting.pop().answer(Answer(204))
    assert client.written.count(b"HTTP/1.1 204 ") == 3
    assert not client.closing


async def test_long_heads_that_are_not_whole_hold_no_more_together_than_they_may(world: World) -> None:
    start = b"GET / HTTP/1.1\r\nHost: m\r\nX: " + b"y" * 10_000
    first = world.connect(start)
    for _ in range(100):
        world.connect(start)
    assert world.held() == world.ahead.size <= MOST
    assert world.clients[-1].written.startswith(b"HTTP/1.1 503 ")
    assert world.clients[-1].eof_written
    decent = world.connect(GET[:-2])
    decent.receive(GET[-2:])
    first.receive(b"\r\n\r\n")
    assert len(world.dispatcher.arrived) == 2
    assert world.ahead.size == 8 * len(start), "a head that is whole is no longer counted here"


async def test_long_header_blocks_that_are_not_whole_hold_no_more_together_than_they_may(world: World) -> None:
    greeting = PREFACE + settings_frame({})
    start = frame(HEADERS, 0, 1, b"x" * 8_000) + frame(CONTINUATION, 0, 1, b"x" * 8_000)
    for _ in range(100):
        world.connect_http2(greeting + start)
    assert world.ahead.size == MOST // 16_000 * 16_000
    await asyncio.sleep(0)
    assert b"too many long header blocks" in world.clients[-1].written
    assert b"too many long header blocks" not in world.clients[0].written


@pytest.mark.parametrize("length", [(), ((b"content-length", b"1"),)], ids=["no length", "a length"])
async def test_trailers_of_a_waiting_stream_are_counted_or_left_out(world: World, length: tuple[Pair, ...]) -> None:
    head = headers_frames(1, encode((*POST, *length)), ended=False)
    trailers = headers_frames(1, encode(((b"x", b"y" * 60_000),)), ended=True)
    world.connect_http2(PREFACE + settings_frame({}) + head + frame(DATA, 0, 1, b"x") + trailers)
    (exchange,) = world.streams.arrived
    counted = most_waiting_bytes(exchange.head, most_body_bytes(LIMITS))
    held = exchange._trailers  # type: ignore[attr-defined]
    assert exchange.buffered + len(held.block) <= counted
