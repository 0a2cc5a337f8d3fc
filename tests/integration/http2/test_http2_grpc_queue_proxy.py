"""gRPC through `python -m queue_proxy`: every kind of call, with real gRPC libraries at both ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.integration.http2.http2_grpc_model import Client, GrpcModel, grpc_client, grpc_model, pairs
from tests.integration.queue_proxy.queue_proxy_harness import Proxy, free_port, proxy_before
from tests.until import until


@contextlib.asynccontextmanager
async def serving(*flags: str) -> AsyncIterator[tuple[GrpcModel, Proxy, Client]]:
    async with grpc_model() as model, proxy_before(model.port, "--upstream-protocol", "h2c", *flags) as proxy:
        await proxy.until_ready()
        async with grpc_client(proxy.port) as client:
            yield model, proxy, client


async def test_a_unary_call_passes_with_metadata_both_ways_and_trailers() -> None:
    async with serving() as (model, proxy, client):
        call = client.infer(b"tensor", metadata=(("x-tenant", "blue"), ("pilotlight-secret", "no")), timeout=10)
        assert await call == b"tensor"
        assert pairs(await call.initial_metadata())["head"] == "one"
        assert pairs(await call.trailing_metadata())["tail"] == "two"
        assert await call.code() is grpc.StatusCode.OK
        assert model.metadata["x-tenant"] == "blue"
        assert "pilotlight-secret" not in model.metadata
        await proxy.until_stats(completed=1, running=0, failed=0)


async def test_a_status_of_the_model_arrives_as_it_was_given() -> None:
    async with serving() as (_, proxy, client):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.infer(b"fail", timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == "asked to fail: 100 % wrong"
        assert pairs(caught.value.trailing_metadata())["why"] == "asked-to"
        await proxy.until_stats(completed=1, failed=0)


async def test_streams_of_answers_of_requests_and_of_both_pass() -> None:
    async with serving("--limit", "4") as (_, proxy, client):
        numbers = [int(message[:6]) async for message in client.count(b"500 100", timeout=20)]
        assert numbers == list(range(500))

        async def many() -> AsyncIterator[bytes]:
            for _ in range(300):
                yield bytes(1_000)

        assert await client.total(many(), timeout=20) == b"300 300000"
        talk = client.talk(timeout=20)
        for at in range(20):
            await talk.write(b"%d" % at)
            assert await talk.read() == b"re: %d" % at
        await talk.done_writing()
        assert await talk.read() is grpc.aio.EOF
        await proxy.until_stats(completed=3, running=0, failed=0)


@pytest.mark.parametrize("size", [65_535, 4 * 1024 * 1024])
async def test_large_messages_pass_both_ways(size: int) -> None:
    async with serving() as (_, proxy, client):
        message = bytes(range(256)) * (size // 256)
        assert await asyncio.gather(*(client.infer(message, timeout=60) for _ in range(4))) == [message] * 4
        assert await client.total(_each(message, 3), timeout=60) == b"3 %d" % (3 * len(message))
        await proxy.until_stats(completed=5, running=0)


async def _each(message: bytes, number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield message


async def test_the_limit_counts_streams_and_not_connections() -> None:
    async with serving("--limit", "10", "--queue-requests", "200") as (model, proxy, client):
        model.gate.clear()
        calls = [asyncio.ensure_future(client.infer(b"%d" % at, timeout=60)) for at in range(100)]
        await proxy.until_stats(running=10, waiting=90)
        await until(lambda: model.running == 10)
        model.gate.set()
        assert await asyncio.gather(*calls) == [b"%d" % at for at in range(100)]
        assert model.most_running == 10
        await proxy.until_stats(completed=100, running=0, waiting=0)


async def test_a_full_queue_is_resource_or_unavailability_in_words_of_grpc() -> None:
    async with serving("--limit", "1", "--queue-requests", "1", "--queue-seconds", "1") as (model, proxy, client):
        model.gate.clear()
        first = asyncio.ensure_future(client.infer(b"first", timeout=60))
        await proxy.until_stats(running=1)
        second = asyncio.ensure_future(client.infer(b"second", timeout=60))
        await proxy.until_stats(waiting=1)
        with pytest.raises(grpc.aio.AioRpcError) as full:
            await client.infer(b"third", timeout=60)
        assert full.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "queue is full" in (full.value.details() or "")
        assert int(pairs(full.value.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1_000
        with pytest.raises(grpc.aio.AioRpcError) as waited:
            await second
        assert waited.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        model.gate.set()
        assert await first == b"first"


async def test_a_deadline_of_the_client_frees_the_slot_and_reaches_the_model() -> None:
    async with serving("--limit", "1") as (model, proxy, client):
        model.gate.clear()
        call = client.infer(b"slow", timeout=3)
        await until(lambda: model.running == 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await proxy.until_stats(running=0)  # abandoned, or answered: the model has the same deadline and may be first
        await until(lambda: model.cancelled == 1)
        model.gate.set()
        assert await client.infer(b"next", timeout=10) == b"next"


async def test_a_cancelled_call_frees_its_slot_running_or_waiting() -> None:
    async with serving("--limit", "1") as (model, proxy, client):
        model.gate.clear()
        running = client.infer(b"running", timeout=60)
        await until(lambda: model.running == 1)  # one that has not begun has nothing to cancel
        await proxy.until_stats(running=1)
        waiting = client.infer(b"waiting", timeout=60)
        await proxy.until_stats(waiting=1)
        waiting.cancel()
        await proxy.until_stats(waiting=0, running=1, abandoned=1)
        running.cancel()
        await proxy.until_stats(running=0, abandoned=2)
        await until(lambda: model.cancelled == 1)


async def test_a_cancelled_stream_of_answers_stops_the_model() -> None:
    async with serving("--limit", "1") as (model, proxy, client):
        call = client.count(b"1000000 1000", timeout=60)
        await call.read()
        call.cancel()
        await proxy.until_stats(running=0, abandoned=1)
        await until(lambda: model.running == 0)


async def test_the_timeout_of_the_proxy_is_deadline_exceeded() -> None:
    async with serving("--limit", "1", "--timeout", "0.5") as (model, proxy, client):
        model.gate.clear()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.infer(b"slow", timeout=30)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not answer in time" in (caught.value.details() or "")
        await proxy.until_stats(running=0, failed=1)


async def test_calls_wait_for_a_model_that_is_not_there_yet_and_health_says_so() -> None:
    port = free_port()
    async with (
        proxy_before(port, "--upstream-protocol", "h2c", "--limit", "2") as proxy,
        grpc_client(proxy.port) as client,
    ):
        calls = [asyncio.ensure_future(client.infer(b"%d" % at, timeout=60)) for at in range(5)]
        await proxy.until_stats(waiting=5)
        model = GrpcModel(port)
        await model.start()
        try:
            assert await asyncio.gather(*calls) == [b"%d" % at for at in range(5)]
            assert await client.health() == 1
        finally:
            await model.server.stop(0)


async def test_a_model_that_dies_is_unavailable_and_its_successor_is_used() -> None:
    async with serving("--limit", "4") as (model, proxy, client):
        model.gate.clear()
        call = client.infer(b"lost", timeout=30)
        await proxy.until_stats(running=1)
        await until(lambda: model.running == 1)
        await model.server.stop(0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        await proxy.until_stats(running=0)
        again = GrpcModel(model.port)
        await again.start()
        try:
            await until_answers(client)
        finally:
            await again.server.stop(0)


async def until_answers(client: Client) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                assert await client.infer(b"back", timeout=10) == b"back"
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_drain_loses_no_call_and_ends_when_the_last_one_has() -> None:
    async with serving("--limit", "50") as (model, proxy, client):
        model.gate.clear()
        calls = [asyncio.ensure_future(client.infer(b"%d" % at, timeout=60)) for at in range(20)]
        await proxy.until_stats(running=20)
        proxy.terminate()
        await asyncio.sleep(0.5)
        assert proxy.process.returncode is None
        model.gate.set()
        assert await asyncio.gather(*calls) == [b"%d" % at for at in range(20)]
        assert await asyncio.wait_for(proxy.process.wait(), 20) == 0
