"""Kube-proxy binds connections, not requests: how clients that keep connections leave an activator, and come back.

The Service's address leads each connection once, when it is made. Everything else is real: the activator, the queue
proxies, an HTTP pool, a gRPC channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from activator.messages import Endpoint, EndpointState, Route, Routes
from tests.integration.activator.activator_harness import (
    HOLD,
    NO_TIMEOUTS,
    SERVICE,
    Activator,
    Controller,
    activator_in_a_pod,
)
from tests.integration.http2.http2_grpc_model import GrpcModel, grpc_client, grpc_model
from tests.integration.queue_proxy.faithful_clients import FaithfulClients, channel_clients, pool_clients
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Proxy,
    free_port,
    ok,
    proxy_before,
    read_reply,
    request,
    request_bytes,
    serving,
)
from tests.integration.queue_proxy.service_address import ServiceAddress, service_address
from tests.until import until

NOTICE = ("--notice-seconds", "1.2", "--longest-notice-seconds", "3")
PROPAGATION_SECONDS = 0.7


async def quick(call: Call) -> bytes:
    if call.path == b"/slow":
        await asyncio.sleep(1.5)
    return ok(b"done")


@dataclass
class Pods:
    """A controller, activators and one replica, and the address of the Service that leads to the first activator."""

    controller: Controller
    activators: list[Activator]
    replica: Proxy
    address: ServiceAddress

    @property
    def first(self) -> Activator:
        return self.activators[0]

    async def arrived_there(self) -> int:
        """Requests that the first activator has had, as it says after all that has happened."""
        pushes = len(self.controller.pushes)
        await until(lambda: len(self.controller.pushes) > pushes + 1)
        assert self.controller.last is not None
        return self.controller.last.arrived

    async def route(self, *, in_path: bool) -> None:
        endpoint = Endpoint("chat-0", "127.0.0.1", self.replica.port, self.replica.admin, EndpointState.READY)
        await self.controller.route(endpoint, port=self.first.port, in_path=in_path)


@contextlib.asynccontextmanager
async def pods(tmp_path: Path, protocol: str = "http1", *flags: str) -> AsyncIterator[Pods]:
    controller = Controller(tmp_path / "control.sock")
    await controller.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(controller.stop)
        if protocol == "grpc":
            model: GrpcModel = await stack.enter_async_context(grpc_model())
            replica = await stack.enter_async_context(proxy_before(model.port, "--upstream-protocol", "h2c"))
            await replica.until_ready()
        else:
            _, replica = await stack.enter_async_context(serving(quick))
        port = free_port()
        activator = await stack.enter_async_context(activator_in_a_pod(controller.path, port, *NOTICE, *flags))
        address = await stack.enter_async_context(service_address(port))
        at = Pods(controller, [activator], replica, address)
        await until(lambda: controller.connections == 1)
        await at.route(in_path=True)
        await activator.said(f"listening on 127.0.0.1:{port}")
        yield at


@contextlib.asynccontextmanager
async def clients_of(protocol: str, port: int, number: int = 8) -> AsyncIterator[FaithfulClients]:
    async with (channel_clients if protocol == "grpc" else pool_clients)(port, number) as clients:
        await clients.answered(50)
        yield clients


@pytest.mark.parametrize("protocol", ["http1", "grpc"])
async def test_clients_that_keep_connections_are_moved_over_to_the_replicas(tmp_path: Path, protocol: str) -> None:
    async with pods(tmp_path, protocol) as at, clients_of(protocol, at.address.port) as clients:
        assert at.address.led[at.first.port] > 0
        # The controller says so when it has written; kube-proxy follows later, and until then clients still come here.
        await at.route(in_path=False)
        await asyncio.sleep(PROPAGATION_SECONDS)
        at.address.endpoints = [at.replica.port]
        await until(lambda: at.address.led[at.first.port] == 0)
        before = await at.arrived_there()
        await clients.answered(50)
        assert (clients.failures, await at.arrived_there()) == ([], before)
        # And back into the path: nothing is closed, and new connections are kept.
        await at.route(in_path=True)
        at.address.endpoints = [at.first.port]
        await clients.answered(20)
        reader, writer = await asyncio.open_connection("127.0.0.1", at.first.port)
        for _ in range(3):
            writer.write(request_bytes("/"))
            assert b"connection" not in (await read_reply(reader)).headers
        writer.transport.abort()
        assert clients.failures == []


async def test_a_connection_of_a_pool_is_answered_once_more_when_its_turn_comes(tmp_path: Path) -> None:
    """However long others took theirs: closed by us meanwhile, it could be closing as its client sends."""
    async with pods(tmp_path) as at:
        pool = [await asyncio.open_connection("127.0.0.1", at.first.port) for _ in range(12)]
        for reader, writer in pool:
            writer.write(request_bytes("/"))
            assert (await read_reply(reader)).body == b"done"
        await at.route(in_path=False)
        for reader, writer in pool:
            await asyncio.sleep(0.1)
            writer.write(request_bytes("/"))
            reply = await read_reply(reader)
            assert (reply.status, reply.headers[b"connection"]) == (200, b"close")
            assert await reader.read() == b""
            writer.transport.abort()


async def test_what_is_under_way_is_not_cut_when_clients_are_moved(tmp_path: Path) -> None:
    async with pods(tmp_path) as at:
        slow = asyncio.create_task(request(at.first.port, "/slow", headers={"connection": "keep-alive"}))
        await at.controller.until_stats(running=1)
        await at.route(in_path=False)
        reply = await slow
        assert (reply.body, reply.headers[b"connection"]) == (b"done", b"close")


async def test_a_stream_runs_to_its_end_while_new_calls_go_elsewhere(tmp_path: Path) -> None:
    async with pods(tmp_path, "grpc") as at, grpc_client(at.address.port) as client:
        talk = client.talk()
        await talk.write(b"1")
        assert await talk.read() == b"re: 1"
        await at.route(in_path=False)
        at.address.endpoints = [at.replica.port]
        await asyncio.sleep(1.2)
        assert await client.infer(b"x", timeout=10) == b"x"
        assert at.address.led[at.replica.port] == 1
        await talk.write(b"2")
        assert await talk.read() == b"re: 2"
        await talk.done_writing()
        await until(lambda: at.address.led[at.first.port] == 0)


@pytest.mark.parametrize("protocol", ["http1", "grpc"])
async def test_an_activator_that_ends_in_a_pod_serves_until_everybody_has_learned_of_it(
    tmp_path: Path, protocol: str
) -> None:
    async with pods(tmp_path, protocol) as at, clients_of(protocol, at.address.port) as clients:
        assert (await request(at.first.admin, "/ready")).status == 200
        at.first.terminate()
        await until_not_ready(at.first)
        await asyncio.sleep(PROPAGATION_SECONDS)
        at.address.endpoints = [at.replica.port]
        await clients.answered(50)
        assert await at.first.process.wait() == 0
        await clients.answered(50)
        assert (clients.failures, at.address.refused) == ([], 0)


async def test_it_stays_ready_while_the_controller_is_away(tmp_path: Path) -> None:
    async with pods(tmp_path) as at:
        await at.controller.stop()
        await at.first.said("serving from the last table")
        assert (await request(at.first.admin, "/ready")).status == 200
        assert (await request(at.first.port)).body == b"done"


async def test_a_port_that_is_taken_is_reported_and_concerns_no_other_service(tmp_path: Path) -> None:
    async with pods(tmp_path) as at:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listed = ((SERVICE, at.first.port), ("default/other", port))
            routes = [Route(name, number, (), 0, HOLD, NO_TIMEOUTS, None) for name, number in listed]
            await at.controller.send(json.dumps(Routes("controller-1", 100, tuple(routes)).to_json()))
            await at.first.said(f"default/other: cannot listen on 127.0.0.1:{port}")
            assert (await request(at.first.port, "/healthz", headers={"user-agent": "kube-probe/1"})).status == 200
        await at.first.said(f"default/other: listening on 127.0.0.1:{port}")


async def test_the_sudden_death_of_one_activator_costs_only_what_was_in_flight_there(tmp_path: Path) -> None:
    clients_there = 8
    async with (
        pods(tmp_path) as at,
        activator_in_a_pod(at.controller.path, at.first.port, *NOTICE, "--bind", "127.0.0.2") as other,
    ):
        await other.said(f"listening on 127.0.0.2:{at.first.port}")
        at.address.endpoints = [at.first.port, ("127.0.0.2", at.first.port)]
        async with clients_of("http1", at.address.port, clients_there) as clients:
            assert min(at.address.led.values()) > 0
            at.address.endpoints = [("127.0.0.2", at.first.port)]
            at.first.process.send_signal(signal.SIGKILL)
            await until(lambda: at.address.led[at.first.port] == 0)
            failed, answers = len(clients.failures), clients.answers
            await until(lambda: clients.answers > answers + 100)
            assert len(clients.failures) == failed <= clients_there


async def until_not_ready(activator: Activator) -> None:
    async with asyncio.timeout(60):
        while (await request(activator.admin, "/ready")).status == 200:
            await asyncio.sleep(0.01)
