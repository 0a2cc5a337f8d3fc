"""The gRPC generator and the model that answers it."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.dataplane.grpc_load import block, measure
from benchmarks.dataplane.model import Model
from queue_proxy.http2.hpack import Decoder


def test_what_calls_have_in_common_is_sent_once_and_ids_differ() -> None:
    decoder = Decoder(65_536, 4_096)
    first, second, third = (dict(decoder.decode(block(n, first=n == 1)).pairs) for n in (1, 2, 3))
    assert len(block(2, first=False)) < len(block(1, first=True)) / 2
    assert first[b":path"] == second[b":path"] == b"/inference.GRPCInferenceService/ModelStreamInfer"
    differing = {name for name in first if len({first[name], second[name], third[name]}) == 3}
    assert differing == {b"grpc-timeout", b"x-request-id", b"traceparent"}


@pytest.mark.parametrize("messages", [1, 3])
async def test_every_call_is_answered(messages: int) -> None:
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loaded = await measure(port, connections=2, calls=3, messages=messages, seconds=0.2)
    server.close()
    await server.wait_closed()
    assert loaded.requests > 6
    assert (loaded.refused, loaded.broken) == (0, 0)
    assert 0 < loaded.p50_ms <= loaded.p99_ms


async def test_a_connection_that_is_lost_breaks_its_calls() -> None:
    class Lost(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    server = await asyncio.get_running_loop().create_server(Lost, "127.0.0.1", 0)
    loaded = await measure(server.sockets[0].getsockname()[1], connections=1, calls=4, messages=1, seconds=0.1)
    server.close()
    await server.wait_closed()
    assert (loaded.requests, loaded.broken) == (0, 4)
