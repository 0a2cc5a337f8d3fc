"""Clients that keep connections for as long as they may: an aiohttp pool, and a gRPC channel of grpcio.

They never repeat a request: what fails is counted. POST, since aiohttp itself repeats what is idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import grpc.aio

from tests.integration.http2.http2_grpc_model import OPTIONS, SERVICE


class FaithfulClients:
    """So many at once against one address, each with a pause between two requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers = 0
        self.failures: list[str] = []

    async def call(self) -> None:
        """One request. Raises whatever the library does."""
        raise NotImplementedError

    async def go_on(self, pause: float) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.call()
                self.answers += 1
            except (aiohttp.ClientError, grpc.aio.AioRpcError, OSError, TimeoutError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.05)
            await asyncio.sleep(pause)

    async def answered(self, more: int) -> None:
        """Until so many more requests have been answered."""
        wanted = self.answers + more
        async with asyncio.timeout(30):
            while self.answers < wanted:
                assert not self.failures, self.failures
                await asyncio.sleep(0.005)


class PoolClients(FaithfulClients):
    """HTTP/1.1, one pool for all."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        super().__init__(port)
        self.session = session

    async def call(self) -> None:
        async with self.session.post(f"http://127.0.0.1:{self.port}/v1/work", data=b"work") as answer:
            await answer.read()
            assert answer.status == 200, await answer.text()


class ChannelClients(FaithfulClients):
    """gRPC, one channel for all."""

    def __init__(self, port: int, channel: grpc.aio.Channel) -> None:
        super().__init__(port)
        self._infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")

    async def call(self) -> None:
        assert await self._infer(b"work", timeout=10) == b"work"


@contextlib.asynccontextmanager
async def pool_clients(port: int, number: int, pause: float = 0.002) -> AsyncIterator[PoolClients]:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3_600)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as session:
        clients = PoolClients(port, session)
        async with _going(clients, number, pause):
            yield clients


@contextlib.asynccontextmanager
async def channel_clients(port: int, number: int, pause: float = 0.002) -> AsyncIterator[ChannelClients]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        clients = ChannelClients(port, channel)
        async with _going(clients, number, pause):
            yield clients


@contextlib.asynccontextmanager
async def _going(clients: FaithfulClients, number: int, pause: float) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(clients.go_on(pause)) for _ in range(number)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended
