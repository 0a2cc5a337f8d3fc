"""A pod ends while clients keep their connections: no request is lost, and none stays."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.integration.http2.http2_grpc_model import grpc_model
from tests.integration.queue_proxy.faithful_clients import FaithfulClients, channel_clients, pool_clients
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Model,
    Proxy,
    Reply,
    ok,
    proxy_before,
    request,
    serving,
)
from tests.integration.queue_proxy.service_address import ServiceAddress, service_address
from tests.until import until

PROPAGATION_SECONDS = 0.7
NOTICE = ("--notice-seconds", "1.2", "--longest-notice-seconds", "3")


async def quick(call: Call) -> bytes:
    return ok(b"done")


@contextlib.asynccontextmanager
async def two_pods(protocol: str) -> AsyncIterator[tuple[Proxy, Proxy, ServiceAddress, FaithfulClients]]:
    """Two replicas, a Service's address that leads to the first, and clients that are connected there."""
    async with contextlib.AsyncExitStack() as stack:
        proxies = []
        for _ in range(2):
            if protocol == "grpc":
                model = await stack.enter_async_context(grpc_model())
                flags = ("--upstream-protocol", "h2c", *NOTICE)
                proxies.append(await stack.enter_async_context(proxy_before(model.port, *flags)))
                await proxies[-1].until_ready()
            else:
                _, proxy = await stack.enter_async_context(serving(quick, *NOTICE))
                proxies.append(proxy)
        address = await stack.enter_async_context(service_address(proxies[0].port))
        clients_of = channel_clients if protocol == "grpc" else pool_clients
        clients: FaithfulClients = await stack.enter_async_context(clients_of(address.port, 8))
        await clients.answered(50)
        yield proxies[0], proxies[1], address, clients


async def hook(proxy: Proxy) -> tuple[Reply, float]:
    """What kubelet does for the model's container, and when it was answered."""
    return await request(proxy.admin, "/drained"), time.monotonic()


@pytest.mark.parametrize("protocol", ["http1", "grpc"])
@pytest.mark.parametrize("first", ["hook", "signal"])
async def test_a_pod_that_ends_loses_no_request_of_clients_that_keep_connections(protocol: str, first: str) -> None:
    async with two_pods(protocol) as (ending, staying, address, clients):
        if first == "signal":
            ending.terminate()
        hooked = asyncio.create_task(hook(ending))
        if first == "hook":
            await asyncio.sleep(0.1)
            ending.terminate()
        await asyncio.sleep(PROPAGATION_SECONDS)
        assert ending.process.returncode is None
        address.endpoints = [staying.port]
        await clients.answered(50)
        assert await ending.process.wait() == 0
        reply, _ = await hooked
        assert (reply.status, reply.headers[b"connection"]) == (200, b"close")
        await clients.answered(50)
        assert (clients.failures, address.refused) == ([], 0)
        await until(lambda: address.led[ending.port] == 0)


async def test_the_sudden_death_of_a_queue_proxy_costs_only_what_was_in_flight_there() -> None:
    async with two_pods("http1") as (dying, staying, address, clients):
        address.endpoints = [staying.port]
        dying.process.kill()
        await until(lambda: address.led[dying.port] == 0)
        failed, answers = len(clients.failures), clients.answers
        await until(lambda: clients.answers > answers + 100)
        assert len(clients.failures) == failed <= 8


async def test_the_model_is_let_go_only_after_the_last_request_that_was_under_way() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def held(call: Call) -> bytes:
        begun.set()
        await go_on.wait()
        return ok(b"late")

    async with serving(held, "--drain-seconds", "20") as (_model, proxy):
        late = asyncio.create_task(request(proxy.port))
        await begun.wait()
        hooked = asyncio.create_task(hook(proxy))
        proxy.terminate()
        await asyncio.sleep(0.8)
        assert not hooked.done()
        go_on.set()
        assert (await late).body == b"late"
        reply, _ = await hooked
        assert reply.status == 200
        assert await proxy.process.wait() == 0


async def test_the_drain_does_not_take_longer_than_it_may_for_the_model_either() -> None:
    async def never(call: Call) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(never, "--drain-seconds", "0.8") as (model, proxy):
        cut = asyncio.create_task(request(proxy.port))
        await model.arrived(1)
        proxy.terminate()
        reply, _ = await hook(proxy)
        assert reply.status == 200
        assert await proxy.process.wait() == 0
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await cut


async def test_a_model_that_is_restarted_alone_is_let_go_and_the_proxy_serves_its_successor() -> None:
    """Kubelet runs the hook also where only the model's liveness probe fails; then no SIGTERM comes."""
    model = Model(quick)
    await model.start()
    async with proxy_before(model.port, "--drain-seconds", "20") as proxy:
        await proxy.until_ready()
        hooked = asyncio.create_task(hook(proxy))
        await until_status(proxy, 503)
        during = await request(proxy.port, headers={"connection": "keep-alive"})
        assert (during.status, during.headers[b"connection"]) == (200, b"close")
        reply, _ = await hooked
        assert reply.status == 200
        await model.stop()
        await until_seen_ended(proxy)
        successor = Model(quick, model.port)
        await successor.start()
        await until_status(proxy, 200)
        after = await request(proxy.port, headers={"connection": "keep-alive"})
        assert (after.status, b"connection" in after.headers) == (200, False)
        await successor.stop()


async def until_status(proxy: Proxy, status: int) -> None:
    async with asyncio.timeout(60):
        while (await request(proxy.admin, "/ready")).status != status:
            await asyncio.sleep(0.01)


async def until_seen_ended(proxy: Proxy) -> None:
    async with asyncio.timeout(60):
        while await proxy.metric("ready"):
            await asyncio.sleep(0.01)
