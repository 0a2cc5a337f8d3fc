"""A real gRPC server as the model, with every kind of call, and plain bytes as messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "inference.GRPCInferenceService"
MOST_BYTES = 16 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.max_send_message_length", MOST_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass
class GrpcModel:
    """Answers on `port`. `gate` holds every unary call while it is clear; `cancelled` counts calls that were cut."""

    port: int = 0
    running: int = 0
    most_running: int = 0
    calls: int = 0
    cancelled: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    server: Any = None

    async def infer(self, request: bytes, context: Any) -> bytes:
        """Unary: echoes; `fail` aborts with a status of its own."""
        self.calls += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        try:
            await self.gate.wait()
            if request == b"fail":
                context.set_trailing_metadata((("why", "asked-to"),))
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "asked to fail: 100 % wrong")
            await context.send_initial_metadata((("head", "one"),))
            context.set_trailing_metadata((("tail", "two"),))
            return request
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Server streaming: as many messages as the request says, each of the size that it says."""
        number, size = map(int, request.split())
        self.running += 1
        try:
            for at in range(number):
                yield b"%06d" % at + bytes(max(0, size - 6))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def total(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        """Client streaming: number and size of all messages."""
        number = size = 0
        async for message in requests:
            number += 1
            size += len(message)
        return b"%d %d" % (number, size)

    async def talk(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Both ways: answers each message before it reads the next."""
        async for message in requests:
            yield b"re: " + message

    async def start(self) -> None:
        methods = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self.infer),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Total": grpc.stream_unary_rpc_method_handler(self.total),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self.talk),
        }
        self.server = grpc.aio.server(options=OPTIONS)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        servicer = health.aio.HealthServicer()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.gate.set()
        await self.server.start()


@contextlib.asynccontextmanager
async def grpc_model() -> AsyncIterator[GrpcModel]:
    model = GrpcModel()
    await model.start()
    try:
        yield model
    finally:
        model.gate.set()
        await model.server.stop(0)


class Client:
    """Calls of every kind through one channel."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS)
        self.infer = self.channel.unary_unary(f"/{SERVICE}/ModelInfer")
        self.count = self.channel.unary_stream(f"/{SERVICE}/Count")
        self.total = self.channel.stream_unary(f"/{SERVICE}/Total")
        self.talk = self.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")

    async def health(self) -> int:
        answer = await health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        return int(answer.status)


@contextlib.asynccontextmanager
async def grpc_client(port: int) -> AsyncIterator[Client]:
    client = Client(port)
    try:
        yield client
    finally:
        await client.channel.close()


def pairs(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata if isinstance(value, str)}
