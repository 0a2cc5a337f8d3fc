"""Asking a replica over a kept connection: against servers that answer to the byte what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from autoscaler.controller.readings.replica_connection import NoAnswerError, Page, ReplicaConnection

LARGEST = 100


def page(body: bytes, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n%s\r\n%s" % (status, len(body), fields, body)


class Server:
    """Answers the requests of each connection with what is written for it, then closes; counts both."""

    def __init__(self, *connections: Sequence[bytes]) -> None:
        self._left = list(connections)
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for answer in self._left.pop(0):
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
        await _ended(writer)
        self.closed.release()
        self.ended.release()


async def _ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def asking(server: Server) -> AsyncIterator[ReplicaConnection]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    connection = ReplicaConnection("127.0.0.1", listening.sockets[0].getsockname()[1], LARGEST)
    try:
        async with asyncio.timeout(60):
            yield connection
    finally:
        connection.close()
        listening.close()
        async with asyncio.timeout(60):
            for _ in range(server.connections):
                await server.ended.acquire()


async def test_questions_go_over_one_connection_and_answers_may_come_in_pieces() -> None:
    server = Server([page(b"one"), page(b"", b"503 Service Unavailable"), page(b"x" * LARGEST)])
    async with asking(server) as connection:
        assert await connection.get("/stats?seconds=600") == Page(200, b"one")
        assert await connection.get("/stats") == Page(503, b"")
        assert await connection.get("/stats") == Page(200, b"x" * LARGEST)
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /stats?seconds=600 HTTP/1.1\r\nhost: 127.0.0.1:")


async def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    server = Server([page(b"one")], [page(b"two")])
    async with asking(server) as connection:
        assert (await connection.get("/stats")).body == b"one"
        await server.closed.acquire()
        assert (await connection.get("/stats")).body == b"two"


async def test_a_new_connection_that_is_closed_without_an_answer_is_a_failure() -> None:
    server = Server([], [])
    async with asking(server) as connection:
        with pytest.raises((NoAnswerError, ConnectionError)):
            await connection.get("/stats")
    assert server.connections == 1


async def test_what_says_close_is_closed() -> None:
    server = Server([page(b"one", fields=b"Connection: close\r\n")], [page(b"two")])
    async with asking(server) as connection:
        assert (await connection.get("/stats")).body == b"one"
        assert (await connection.get("/stats")).body == b"two"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (page(b"x" * (LARGEST + 1)), "answered more than 100 bytes"),
        (page(b"one") + b"more", "more than it was asked for"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "without a length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "without a length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "closed within its answer"),
        (b"HTTP/1.1 20", "closed within its answer"),
        (b"SSH-2.0-server\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not an HTTP answer"),
        (b"x" * 20_000, "a head of more than"),
    ],
)
async def test_what_cannot_be_used_says_why_and_the_next_question_goes_elsewhere(answer: bytes, why: str) -> None:
    server = Server([answer], [page(b"two")])
    async with asking(server) as connection:
        with pytest.raises(NoAnswerError, match=why):
            await connection.get("/stats")
        assert (await connection.get("/stats")).body == b"two"


async def test_an_answer_that_was_given_up_is_not_taken_for_the_next_one() -> None:
    late = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await late.wait()
        writer.write(page(b"late" if not asked else b"next"))
        asked.append(1)
        await _ended(writer)
        ended.release()

    asked: list[int] = []
    ended = asyncio.Semaphore(0)
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = ReplicaConnection("127.0.0.1", listening.sockets[0].getsockname()[1], LARGEST)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.get("/stats")
        late.set()
        async with asyncio.timeout(60):
            while not asked:
                await asyncio.sleep(0)
            assert (await connection.get("/stats")).body == b"next"
        for _ in asked:
            await ended.acquire()
    finally:
        connection.close()
        listening.close()
