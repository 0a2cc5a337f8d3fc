"""Readiness: all four kinds of probe against real servers, and how soon those who wait are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from queue_proxy.probes import accepts
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Model,
    Proxy,
    free_port,
    ok,
    proxy_before,
    request,
    serving,
)
from tests.integration.self_signed import self_signed


class Switch:
    """A model whose /health says what `status` is."""

    def __init__(self) -> None:
        self.status = 503
        self.switched_at = 0.0
        self.probes: list[Call] = []

    async def __call__(self, call: Call) -> bytes:
        if call.path != b"/health?deep=1":
            return ok()
        self.probes.append(call)
        return b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % self.status

    def turn(self, status: int) -> None:
        self.status = status
        self.switched_at = time.monotonic()


HTTP_PROBE = {"httpGet": {"path": "/health?deep=1", "httpHeaders": [{"name": "Authorization", "value": "Bearer x"}]}}


async def test_a_held_question_is_answered_as_soon_as_the_model_listens() -> None:
    delays = []
    for _ in range(5):
        model = Model(Switch(), free_port())
        async with proxy_before(model.port) as proxy:
            held = asyncio.create_task(request(proxy.admin, "/ready?wait=20"))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await model.start()
            assert (await held).status == 200
            delays.append(time.monotonic() - began)
        await model.stop()
    # A connect every 10 ms; the rest is what a busy machine takes.
    assert sorted(delays)[2] < 0.5, delays


async def test_the_real_probe_decides_once_somebody_listens() -> None:
    switch = Switch()
    model = Model(switch)
    await model.start()
    async with proxy_before(model.port, "--probe", json.dumps(HTTP_PROBE)) as proxy:
        assert (await request(proxy.admin, "/ready")).status == 503
        held = asyncio.create_task(request(proxy.admin, "/ready?wait=20"))
        await model.arrived(3)
        refusal = await request(proxy.admin, "/ready")
        assert refusal.json() == {"error": "the model is not ready: GET /health?deep=1 was answered with 503"}
        switch.turn(204)
        assert (await held).status == 200
        # At most 100 ms between two questions while it wakes; the rest is what a busy machine takes.
        assert time.monotonic() - switch.switched_at < 2.0
        assert switch.probes[0].headers[b"authorization"] == b"Bearer x"
        assert switch.probes[0].headers[b"user-agent"].startswith(b"kube-probe/")
    await model.stop()


async def test_a_model_that_fails_its_probe_is_not_ready_again_and_still_gets_requests() -> None:
    switch = Switch()
    switch.turn(200)
    probe = {**HTTP_PROBE, "periodSeconds": 0.05, "failureThreshold": 2}
    async with serving(switch, "--probe", json.dumps(probe)) as (_model, proxy):
        switch.turn(500)
        await not_ready(proxy)
        assert (await request(proxy.port, "/work")).status == 200
        switch.turn(200)
        assert (await request(proxy.admin, "/ready?wait=20")).status == 200


async def test_success_has_to_come_as_often_in_a_row_as_the_threshold_says() -> None:
    switch = Switch()
    model = Model(switch)
    await model.start()
    probe = {**HTTP_PROBE, "successThreshold": 3}
    async with proxy_before(model.port, "--probe", json.dumps(probe)) as proxy:
        await model.arrived(1)
        before = len(model.paths)
        switch.turn(200)
        await proxy.until_ready()
        assert len(model.paths) - before >= 3
    await model.stop()


async def test_a_model_that_died_is_known_at_once_and_requests_are_answered_honestly() -> None:
    switch = Switch()
    switch.turn(200)
    async with serving(switch, "--probe", json.dumps(HTTP_PROBE)) as (model, proxy):
        await model.stop()
        reply = await request(proxy.port, "/work")
        assert reply.status in (502, 503)
        await not_ready(proxy)
        refused = await request(proxy.port, "/work")
        assert refused.status == 503
        assert b"retry-after" in refused.headers
        await proxy.until_stats(arrived=2, failed=2, running=0)
        await model.start()
        assert (await request(proxy.admin, "/ready?wait=20")).status == 200
        assert (await request(proxy.port, "/work")).status == 200


async def test_a_connection_refused_for_a_moment_is_tried_again_while_the_model_is_known_ready() -> None:
    model = Model(Switch(), free_port())
    await model.start()
    probe = {"tcpSocket": {}, "failureThreshold": 1_000_000}
    async with proxy_before(model.port, "--probe", json.dumps(probe)) as proxy:
        await proxy.until_ready()
        await model.stop()
        waiting = asyncio.create_task(request(proxy.port, "/again"))
        await proxy.until_stats(running=1)
        await model.start()
        assert (await waiting).status == 200
        assert model.paths == [b"/again"]
        await proxy.until_stats(arrived=1, completed=1, failed=0, running=0)
    await model.stop()


async def not_ready(proxy: Proxy) -> None:
    async with asyncio.timeout(60):
        while (await request(proxy.admin, "/ready")).status != 503:
            await asyncio.sleep(0.005)


async def test_a_command_that_exits_with_0_is_ready_and_one_that_hangs_is_killed() -> None:
    model = Model(Switch())
    await model.start()
    for command, status, seconds in (
        ([sys.executable, "-c", "pass"], 200, 20),
        ([sys.executable, "-c", "raise SystemExit(3)"], 503, 0.6),
        (["sleep", "3600.25"], 503, 0.6),
        (["/no/such/command"], 503, 0.3),
    ):
        probe = {"exec": {"command": command}, "timeoutSeconds": 0.3 if status == 503 else 10}
        async with proxy_before(model.port, "--probe", json.dumps(probe)) as proxy:
            assert (await request(proxy.admin, f"/ready?wait={seconds}")).status == status
            proxy.terminate()
            assert await proxy.process.wait() == 0
    await model.stop()
    assert not [command for command in running_commands() if command == b"sleep\x003600.25\x00"]


def running_commands() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes()


@pytest.mark.parametrize("scheme", ["HTTPS", "\\u0048TTPS"])
async def test_an_https_probe_needs_no_certificate_that_anybody_trusts(tmp_path: Path, scheme: str) -> None:
    _, context = self_signed(tmp_path)
    paths = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            paths.append(await reader.readuntil(b"\r\n"))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    probe = f'{{"httpGet": {{"scheme": "{scheme}", "path": "/alive"}}}}'
    async with proxy_before(server.sockets[0].getsockname()[1], "--probe", probe) as proxy:
        await proxy.until_ready()
    assert paths[0] == b"GET /alive HTTP/1.1\r\n"
    server.close()


@pytest.mark.parametrize(("host", "there"), [("127.0.0.1", True), ("localhost", True), ("no-such-host.invalid", False)])
async def test_addresses_and_names_are_asked_whether_somebody_listens(host: str, there: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert await accepts(host, listening.getsockname()[1], 5.0) is there
    assert await accepts(host, free_port(), 5.0) is False


@pytest.fixture
def health_server() -> Iterator[tuple[int, health.HealthServicer]]:
    """The reference implementation of gRPC health."""
    servicer = health.HealthServicer()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, servicer
    server.stop(None).wait()


async def test_a_grpc_model_is_ready_when_its_health_service_says_so(
    health_server: tuple[int, health.HealthServicer],
) -> None:
    port, servicer = health_server
    long_name = "inference.GRPCInferenceService." + "x" * 200
    servicer.set(long_name, health_pb2.HealthCheckResponse.NOT_SERVING)
    probe = {"grpc": {"port": port, "service": long_name}, "periodSeconds": 0.05, "failureThreshold": 1}
    async with proxy_before(port, "--probe", json.dumps(probe)) as proxy:
        reply = await request(proxy.admin, "/ready?wait=0.3")
        assert reply.json() == {"error": "the model is not ready: gRPC health says NOT_SERVING"}
        servicer.set(long_name, health_pb2.HealthCheckResponse.SERVING)
        await proxy.until_ready()
        servicer.set(long_name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await not_ready(proxy)


@pytest.mark.parametrize(("service", "status"), [("", 200), ("unknown", 503)])
async def test_grpc_health_of_the_whole_server_and_of_an_unknown_service(
    health_server: tuple[int, health.HealthServicer], service: str, status: int
) -> None:
    probe = {"grpc": {"service": service}}
    async with proxy_before(health_server[0], "--probe", json.dumps(probe)) as proxy:
        assert (await request(proxy.admin, "/ready?wait=0.3")).status == status


async def test_a_probe_that_gets_garbage_or_nothing_says_so() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff garbage\n" * 10)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for probe, words in (('{"httpGet": {}}', "not an HTTP answer"), ('{"grpc": {}}', "not an HTTP/2 answer")):
        async with proxy_before(port, "--probe", probe) as proxy:
            reply = await request(proxy.admin, "/ready?wait=0.3")
            assert reply.status == 503
            assert words in str(reply.json()["error"])
    server.close()


async def test_a_probe_without_an_answer_ends_after_its_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = {"httpGet": {}, "timeoutSeconds": 0.1}
        async with proxy_before(silent.getsockname()[1], "--probe", json.dumps(probe)) as proxy:
            reply = await request(proxy.admin, "/ready?wait=0.5")
            assert reply.json() == {"error": "the model is not ready: no answer within 0.1 s"}


async def test_waiting_ends_after_the_time_that_was_asked_for() -> None:
    async with proxy_before(free_port()) as proxy:
        reply = await request(proxy.admin, "/ready?wait=0.2")
        assert reply.status == 503
        assert reply.seconds >= 0.2
