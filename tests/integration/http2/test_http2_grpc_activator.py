"""gRPC through the activator and queue proxies to models: balanced call by call, held while there is no replica."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from activator.messages import Endpoint, EndpointState, HoldBounds
from tests.integration.activator.activator_harness import Activator, Controller, activator_for
from tests.integration.http2.http2_grpc_model import Client, GrpcModel, grpc_client, grpc_model
from tests.integration.queue_proxy.queue_proxy_harness import Proxy, proxy_before
from tests.until import until


class Hops:
    """An activator, and replicas behind it that the table may list."""

    def __init__(self, controller: Controller, activator: Activator, replicas: list[tuple[GrpcModel, Proxy]]) -> None:
        self.controller = controller
        self.activator = activator
        self.models = [model for model, _ in replicas]
        self.proxies = [proxy for _, proxy in replicas]

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(f"chat-{at}", "127.0.0.1", proxy.port, proxy.admin, EndpointState.READY)
            for at, proxy in enumerate(self.proxies)
        ]


@contextlib.asynccontextmanager
async def hops(tmp_path: Path, replicas: int, *flags: str) -> AsyncIterator[tuple[Hops, Client]]:
    controller = Controller(tmp_path / "control.sock")
    await controller.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(controller.stop)
        pairs = []
        for _ in range(replicas):
            model = await stack.enter_async_context(grpc_model())
            proxy = await stack.enter_async_context(proxy_before(model.port, "--upstream-protocol", "h2c", *flags))
            await proxy.until_ready()
            pairs.append((model, proxy))
        activator = await stack.enter_async_context(activator_for(controller.path))
        yield Hops(controller, activator, pairs), await stack.enter_async_context(grpc_client(activator.port))


async def test_calls_of_one_channel_are_dealt_out_over_the_replicas(tmp_path: Path) -> None:
    async with hops(tmp_path, 2) as (at, client):
        await at.controller.route(*at.endpoints(), capacity=2)
        for model in at.models:
            model.gate.clear()
        calls = [asyncio.ensure_future(client.infer(b"%d" % number, timeout=60)) for number in range(12)]
        await until(lambda: [model.running for model in at.models] == [2, 2])
        await at.controller.until_stats(running=4, waiting=8)
        for model in at.models:
            model.gate.set()
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(12)]
        assert max(model.most_running for model in at.models) == 2
        assert min(model.calls for model in at.models) >= 3
        await at.controller.until_stats(completed=12, running=0, waiting=0)


async def test_calls_are_held_until_a_replica_is_there(tmp_path: Path) -> None:
    async with hops(tmp_path, 1) as (at, client):
        await at.controller.route()
        calls = [asyncio.ensure_future(client.infer(bytes(20_000), timeout=60)) for _ in range(30)]
        await at.controller.until_stats(waiting=30)
        assert any(push.urgent for _, push in at.controller.pushes)
        await at.controller.route(*at.endpoints(), capacity=10)
        assert await asyncio.gather(*calls) == [bytes(20_000)] * 30
        assert at.models[0].most_running <= 10


async def test_every_kind_of_call_passes_both_hops(tmp_path: Path) -> None:
    async with hops(tmp_path, 1, "--limit", "4") as (at, client):
        await at.controller.route(*at.endpoints(), capacity=8)
        assert [int(message[:6]) async for message in client.count(b"200 5000", timeout=30)] == list(range(200))

        async def many() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield bytes(200_000)

        assert await client.total(many(), timeout=30) == b"20 4000000"
        talk = client.talk(timeout=30)
        for number in range(10):
            await talk.write(b"%d" % number)
            assert await talk.read() == b"re: %d" % number
        await talk.done_writing()
        assert await talk.read() is grpc.aio.EOF
        message = bytes(4 * 1024 * 1024)
        assert await client.infer(message, timeout=30) == message
        await at.controller.until_stats(completed=4, running=0)


async def test_a_cancelled_call_is_cancelled_at_the_model_and_frees_both_places(tmp_path: Path) -> None:
    async with hops(tmp_path, 1, "--limit", "1") as (at, client):
        await at.controller.route(*at.endpoints(), capacity=1)
        at.models[0].gate.clear()
        call = client.infer(b"x", timeout=60)
        await until(lambda: at.models[0].running == 1)
        call.cancel()
        await until(lambda: at.models[0].cancelled == 1)
        await at.proxies[0].until_stats(running=0, abandoned=1)
        await at.controller.until_stats(running=0, abandoned=1)
        at.models[0].gate.set()
        assert await client.infer(b"next", timeout=20) == b"next"


async def test_a_hold_that_is_full_or_too_long_says_so_in_words_of_grpc(tmp_path: Path) -> None:
    async with hops(tmp_path, 0) as (at, client):
        bounds = HoldBounds(requests=1, bytes=2**20, no_endpoint_seconds=1.0, full_seconds=1.0)
        await at.controller.route(hold=bounds)
        await until(lambda: bool(at.controller.sockets))
        first = asyncio.ensure_future(client.infer(b"first", timeout=60))
        await at.controller.until_stats(waiting=1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.infer(b"second", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "as many requests wait as may wait" in (caught.value.details() or "")
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await first
        assert late.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "has waited as long" in (late.value.details() or "")


async def test_a_health_check_neither_waits_nor_wakes(tmp_path: Path) -> None:
    async with hops(tmp_path, 0) as (at, _):
        await at.controller.route()
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{at.activator.port}", options=(("grpc.primary_user_agent", "kube-probe/1.30"),)
        )
        probe = Client(at.activator.port)
        await probe.channel.close()
        probe.channel = channel
        assert await probe.health() == 1
        await channel.close()
        assert not any(push.urgent for _, push in at.controller.pushes)


async def test_a_drain_of_the_activator_loses_no_call(tmp_path: Path) -> None:
    async with hops(tmp_path, 1) as (at, client):
        await at.controller.route(*at.endpoints())
        at.models[0].gate.clear()
        calls = [asyncio.ensure_future(client.infer(b"%d" % number, timeout=60)) for number in range(20)]
        await until(lambda: at.models[0].running == 20)
        at.activator.terminate()
        await asyncio.sleep(0.3)
        at.models[0].gate.set()
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(20)]
        assert await asyncio.wait_for(at.activator.process.wait(), 20) == 0
