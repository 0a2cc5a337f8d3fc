"""A proxy between a scripted model and raw clients, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

from queue_proxy.http import Exchange, HttpLimits, HttpServer, Outcome, Timeouts, Upstream, error_answer
from tests.until import until

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Slot:
    """A lease that remembers."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.released = asyncio.Event()

    def release(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.released.set()


class Forwarding:
    """Forwards at once, or holds when told to."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.slots: list[Slot] = []
        self.hold = False
        self.held: list[Exchange] = []
        self.arrived = asyncio.Event()
        self.left: list[Exchange] = []
        self.somebody_left = asyncio.Event()

    def arrive(self, exchange: Exchange) -> None:
        self.arrived.set()
        if self.hold:
            self.held.append(exchange)
        else:
            self.forward(exchange)

    def forward(self, exchange: Exchange) -> None:
        self.slots.append(Slot())
        exchange.forward(self.upstream, self.slots[-1])

    def abandoned(self, exchange: Exchange) -> None:
        self.left.append(exchange)
        self.somebody_left.set()

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        exchange.answer(error_answer(503, why, retry_after=1))


async def answer_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A model that answers `hello` to every request without a body."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A model that takes everything and never answers."""
    await reader.read()


HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
GET = b"GET / HTTP/1.1\r\nHost: model\r\n\r\n"


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)

    async def exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), 10)

    async def rest(self) -> bytes:
        """All until the connection's end. Raises ConnectionResetError when it was reset."""
        return await asyncio.wait_for(self.reader.read(), 10)

    def reset(self) -> None:
        """Leave without a good-bye, whatever is still unsent."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class World:
    """Start it, set `model` to a script, make clients."""

    def __init__(self) -> None:
        self.model: Script = answer_hello
        self.connections = 0
        self.model_writers: list[asyncio.StreamWriter] = []
        self._clients: list[Client] = []

    async def start(self) -> None:
        self.model_server = await asyncio.start_server(self._run_model, "127.0.0.1", 0)
        self.upstream = Upstream("127.0.0.1", self.model_server.sockets[0].getsockname()[1])
        self.dispatcher = Forwarding(self.upstream)
        self.server = HttpServer(self.dispatcher, HttpLimits(head_bytes=8192, waiting_bytes=16384))
        loop = asyncio.get_running_loop()
        self.listener = await loop.create_server(self.server, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for client in self._clients:
            client.writer.close()
        for writer in self.model_writers:
            writer.close()
        self.listener.close()
        self.model_server.close()
        self.upstream.close()
        await self.server.wait_closed(0)
        await until(lambda: self.server.connections == 0)
        await self.model_server.wait_closed()
        await asyncio.sleep(0)

    def use(self, *, limits: HttpLimits | None = None, timeouts: Timeouts | None = None) -> None:
        """Change bounds for connections and exchanges to come."""
        if limits is not None:
            self.server.limits = limits
        if timeouts is not None:
            self.server.timeouts = timeouts

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def ask(self, request: bytes) -> bytes:
        """Everything that a fresh connection answers until its end."""
        client = await self.client()
        client.send(request)
        return await client.rest()

    @property
    def outcomes(self) -> list[list[Outcome]]:
        return [slot.outcomes for slot in self.dispatcher.slots]

    async def _run_model(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.model_writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.model(reader, writer)
        writer.close()
