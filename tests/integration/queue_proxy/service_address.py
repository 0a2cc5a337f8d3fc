"""A Service's address: leads each connection to one of its endpoints, once, as kube-proxy does.

Where a connection goes is decided when it is made. What changes later is for later connections; those that exist stay
where they are until one of their ends closes them. A refused endpoint is a refused connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

_AT_ONCE = 65_536

Where = int | tuple[str, int]
"""A port of 127.0.0.1, or a host and port."""


class ServiceAddress:
    """Listens on `port` and leads to `endpoints` in turn. `led` counts the connections that are open, by endpoint."""

    def __init__(self, *endpoints: Where) -> None:
        self.endpoints = list(endpoints)
        self.led: dict[Where, int] = {}
        self.refused = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._turn += 1
        where = self.endpoints[self._turn % len(self.endpoints)]
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._splice(where, reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _splice(self, where: Where, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = ("127.0.0.1", where) if isinstance(where, int) else where
        try:
            onward_reader, onward_writer = await asyncio.open_connection(host, port)
        except OSError:
            self.refused += 1
            return
        for stream in (writer, onward_writer):
            stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.led[where] = self.led.get(where, 0) + 1
        try:
            await asyncio.gather(_copy(reader, onward_writer), _copy(onward_reader, writer))
        finally:
            self.led[where] -= 1
            onward_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_AT_ONCE):
            writer.write(data)
            await writer.drain()
        if not writer.is_closing():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def service_address(*endpoints: Where) -> AsyncIterator[ServiceAddress]:
    address = ServiceAddress(*endpoints)
    await address.start()
    try:
        yield address
    finally:
        await address.stop()
