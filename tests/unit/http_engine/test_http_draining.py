"""A drain closes no connection that a request may be on its way on, as far as that can be seen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from queue_proxy.http import Answer, Exchange, HttpServer, Upstream
from queue_proxy.http.client import ClientConnection
from queue_proxy.http.deadlines import TICK
from queue_proxy.http.listening import stop_listening
from queue_proxy.http.upstream_connection import UpstreamConnection
from tests.unit.http_engine.http_fakes import FakeTransport

PATIENCE = 1.0
REQUEST = b"GET / HTTP/1.1\r\nHost: m\r\n\r\n"


class Hello:
    """Answers at once."""

    def arrive(self, exchange: Exchange) -> None:
        exchange.answer(Answer(200, (), b"hello"))

    def abandoned(self, exchange: Exchange) -> None:
        raise AssertionError

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        raise AssertionError


class SocketTransport(FakeTransport):
    """A transport with a real socket, so that somebody can look whether bytes have come on it."""

    def __init__(self, protocol: asyncio.Protocol, own: socket.socket) -> None:
        super().__init__(protocol)
        self.own = own

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.own if name == "socket" else default


class Draining:
    """One idle connection of a server, on a clock that the test moves."""

    def __init__(self, own: socket.socket) -> None:
        self.now = 100.0
        self.server = HttpServer(Hello(), clock=lambda: self.now)
        self.connection = ClientConnection(self.server)
        self.transport = SocketTransport(self.connection, own)
        self.connection.connection_made(self.transport)

    def passes(self, seconds: float) -> None:
        """As the server's sweep does, tick by tick."""
        until = self.now + seconds
        while self.now < until:
            self.now += TICK
            self.server.deadlines.sweep(self.now)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
async def draining(pair: tuple[socket.socket, socket.socket]) -> AsyncIterator[Draining]:
    world = Draining(pair[0])
    yield world
    world.connection.connection_lost(None)


async def test_an_idle_connection_has_its_patience_and_is_then_closed(draining: Draining) -> None:
    draining.passes(5)
    draining.server.begin_drain(PATIENCE)
    draining.passes(PATIENCE - 3 * TICK)
    assert not draining.transport.closing
    draining.passes(5 * TICK)
    assert draining.transport.closing


async def test_its_client_sees_the_end_at_once_and_not_when_the_loop_comes_round_to_it(
    draining: Draining, pair: tuple[socket.socket, socket.socket]
) -> None:
    draining.server.begin_drain(PATIENCE)
    draining.passes(PATIENCE + TICK)
    assert pair[1].recv(1, socket.MSG_DONTWAIT) == b""


async def test_a_request_within_the_patience_is_served_and_told_that_it_is_the_last(draining: Draining) -> None:
    draining.server.begin_drain(PATIENCE)
    draining.passes(PATIENCE / 2)
    draining.connection.data_received(REQUEST)
    assert draining.transport.written.endswith(b"hello")
    assert b"connection: close" in draining.transport.written.lower()
    assert draining.transport.closing


async def test_a_request_that_is_there_but_not_read_yet_keeps_its_connection_open(
    draining: Draining, pair: tuple[socket.socket, socket.socket]
) -> None:
    draining.server.begin_drain(PATIENCE)
    pair[1].send(REQUEST)
    draining.passes(3 * PATIENCE)
    assert not draining.transport.closing
    draining.connection.data_received(pair[0].recv(1000))
    assert draining.transport.written.endswith(b"hello")


async def test_without_patience_idle_connections_are_closed_at_once(draining: Draining) -> None:
    draining.server.begin_drain()
    assert draining.transport.closing


async def test_a_connection_that_is_accepted_while_draining_has_its_patience_too(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    world = Draining(pair[0])
    world.server.begin_drain(PATIENCE)
    late = ClientConnection(world.server)
    transport = SocketTransport(late, pair[0])
    late.connection_made(transport)
    world.passes(PATIENCE / 2)
    closing_early = transport.closing
    world.passes(PATIENCE)
    assert (closing_early, transport.closing) == (False, True)
    for connection in (late, world.connection):
        connection.connection_lost(None)


async def test_a_pooled_connection_that_is_closing_is_not_given_a_request() -> None:
    upstream = Upstream("127.0.0.1", 1)
    connection = UpstreamConnection()
    transport = FakeTransport(connection)
    connection.connection_made(transport)
    upstream.put(connection, 5.0)
    transport.closing = True
    assert upstream.take(5.0) is None
    upstream.close()


async def test_who_is_in_the_kernels_queue_when_listening_ends_is_served() -> None:
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = HttpServer(Hello())
    accepting = await loop.create_server(server, sock=listening)
    with socket.create_connection(listening.getsockname()) as client:  # nobody has accepted it yet
        client.setblocking(False)
        await stop_listening(accepting, listening, server, shared=False)
        await loop.sock_sendall(client, REQUEST)
        async with asyncio.timeout(5):
            answer = b""
            while not answer.endswith(b"hello"):
                answer += await loop.sock_recv(client, 1000)
    async with asyncio.timeout(5):
        await server.wait_closed(5)
