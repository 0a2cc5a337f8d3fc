"""The process: drain, signals, sockets, what passes through, and what its admin port says."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from queue_proxy.messages import parse_stats
from queue_proxy.metrics import METRICS, PREFIX
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Model,
    Proxy,
    free_port,
    ok,
    proxy_before,
    read_reply,
    request,
    request_bytes,
    serving,
)


class Held:
    """Answers when `release` is set."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, call: Call) -> bytes:
        await self.release.wait()
        return ok(call.path)


async def echo(call: Call) -> bytes:
    return ok(call.body)


async def test_drain_finishes_what_runs_and_waits_then_exits_with_0() -> None:
    held = Held()
    async with serving(held, "--limit", "1") as (model, proxy):
        running = asyncio.create_task(request(proxy.port, "/runs"))
        await model.arrived(1)
        waiting = asyncio.create_task(request(proxy.port, "/waits"))
        await proxy.until_stats(waiting=1)
        proxy.terminate()
        await until_refused(proxy.port)
        reply = await request(proxy.admin, "/ready?wait=20")
        assert (reply.status, reply.json()) == (503, {"error": "this replica drains"})
        assert proxy.process.returncode is None
        held.release.set()
        assert [(await running).body, (await waiting).body] == [b"/runs", b"/waits"]
        assert await proxy.process.wait() == 0


async def until_refused(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:  # refused, or reset while the listening socket closed
                return
            writer.transport.abort()
            await asyncio.sleep(0.005)


async def test_drain_tells_those_who_wait_for_readiness() -> None:
    async with proxy_before(free_port()) as proxy:
        held = asyncio.create_task(request(proxy.admin, "/ready?wait=60"))
        await asyncio.sleep(0.1)
        proxy.terminate()
        try:
            assert (await held).status == 503
        except asyncio.IncompleteReadError:
            pytest.fail("the question was cut instead of answered")


async def test_drain_ends_after_its_time_whatever_still_runs() -> None:
    async with serving(Held(), "--drain-seconds", "0.3") as (model, proxy):
        running = asyncio.create_task(request(proxy.port))
        await model.arrived(1)
        began = time.monotonic()
        proxy.terminate()
        assert await proxy.process.wait() == 0
        assert 0.3 <= time.monotonic() - began < 20, "the usual time to drain is longer"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await running


async def test_a_second_signal_ends_it_at_once() -> None:
    async with serving(Held(), "--drain-seconds", "3600") as (model, proxy):
        running = asyncio.create_task(request(proxy.port))
        await model.arrived(1)
        proxy.terminate()
        await until_refused(proxy.port)
        proxy.terminate()
        assert await proxy.process.wait() == 128 + signal.SIGTERM
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await running


async def test_an_answer_during_drain_ends_its_connection() -> None:
    held = Held()
    async with serving(held) as (model, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request_bytes("/"))
        await model.arrived(1)
        proxy.terminate()
        await until_refused(proxy.port)
        held.release.set()
        reply = await read_reply(reader)
        assert reply.headers[b"connection"] == b"close"
        assert await reader.read() == b""
        writer.transport.abort()
        assert await proxy.process.wait() == 0


async def test_a_request_on_a_connection_that_was_idle_when_drain_began_is_still_served() -> None:
    async with serving(echo) as (_model, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request_bytes("/", "POST", body=b"first"))
        assert (await read_reply(reader)).headers.get(b"connection") is None
        proxy.terminate()
        await until_refused(proxy.port)
        writer.write(request_bytes("/", "POST", body=b"second"))
        reply = await read_reply(reader)
        assert (reply.body, reply.headers[b"connection"]) == (b"second", b"close")
        writer.transport.abort()
        assert await proxy.process.wait() == 0


async def test_inherited_sockets_are_used_and_connections_made_before_the_start_are_served() -> None:
    model = Model(echo)
    await model.start()
    with socket.create_server(("127.0.0.1", 0)) as listen, socket.create_server(("127.0.0.1", 0)) as admin:
        port = listen.getsockname()[1]
        early = asyncio.create_task(request(port, "/early", method="POST", body=b"early"))
        await asyncio.sleep(0)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "queue_proxy", "--name", "a", "--upstream", f"127.0.0.1:{model.port}"),
            *("--listen", f"fd:{listen.fileno()}", "--admin", f"fd:{admin.fileno()}"),
            pass_fds=(listen.fileno(), admin.fileno()),
            stderr=asyncio.subprocess.DEVNULL,
        )
        proxy = Proxy(process, port, admin.getsockname()[1])
        assert (await early).body == b"early"
        proxy.terminate()
        assert await process.wait() == 0
    await model.stop()


async def test_an_upgraded_connection_is_a_tunnel_and_holds_its_slot() -> None:
    async def upgrade(call: Call) -> bytes:
        call.writer.write(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await call.reader.read(1000):
            call.writer.write(data.upper())
        raise ConnectionResetError

    async with serving(upgrade, "--limit", "1") as (_model, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request_bytes("/ws", headers={"connection": "Upgrade", "upgrade": "websocket"}))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        await proxy.until_stats(running=1)
        writer.transport.abort()
        await proxy.until_stats(running=0)


async def test_stats_are_the_message_that_the_controller_reads() -> None:
    async with serving(echo, "--limit", "1") as (_model, proxy):
        for _ in range(3):
            await request(proxy.port, method="POST", body=b"x")
        stats = parse_stats(await proxy.stats(seconds=60))
        assert (stats.source, stats.arrived, stats.completed) == ("chat-1", 3, 3)
        assert stats.ready_at is not None
        assert stats.first_request_at is not None
        assert stats.ready_at <= stats.first_request_at <= stats.at


async def test_the_metrics_page_has_what_happened() -> None:
    async with serving(echo, "--limit", "7") as (_model, proxy):
        await request(proxy.port, method="POST", body=b"x")
        malformed = await request(proxy.port, "/", headers={"bad name": "x"})
        assert malformed.status == 400
        page = (await request(proxy.admin, "/metrics")).body.decode()
        for line in (
            'pilotlight_queue_proxy_requests_total{outcome="completed"} 1.0',
            "pilotlight_queue_proxy_limit 7.0",
            "pilotlight_queue_proxy_malformed_total 1.0",
            'pilotlight_queue_proxy_service_duration_seconds_bucket{le="600.0"} 1.0',
            "pilotlight_queue_proxy_queue_wait_seconds_count 1.0",
            "pilotlight_queue_proxy_ready 1.0",
        ):
            assert line in page.splitlines()
        families = list(text_string_to_metric_families(page))
        always = [metric for metric in METRICS if metric.name not in ("request_log_lines", "traced_requests")]
        assert [(f"{PREFIX}{metric.name}", metric.kind.value) for metric in always] == [
            (family.name.removesuffix("_seconds"), family.type) for family in families if family.samples
        ]


async def test_a_proxy_that_speaks_no_tls_does_not_load_openssl() -> None:
    async with serving(echo) as (_model, proxy):
        await request(proxy.port, method="POST", body=b"x")
        assert (await request(proxy.admin, "/metrics")).status == 200
        assert "libssl" not in Path(f"/proc/{proxy.process.pid}/maps").read_text()


@pytest.mark.parametrize(
    ("path", "method", "status", "words"),
    [
        ("/healthz", "GET", 200, "alive"),
        ("/nothing", "GET", 404, "there are /healthz, /ready, /stats, /metrics"),
        ("/stats", "POST", 405, "GET and HEAD"),
        ("/stats?seconds=many", "GET", 400, "seconds must be a number within 0..3600, not 'many'"),
        ("/ready?wait=-1", "GET", 400, "wait must be a number within 0..3600, not '-1'"),
        ("/ready?wait=nan", "GET", 400, "wait must be"),
    ],
)
async def test_the_admin_port_answers_what_it_is_asked(path: str, method: str, status: int, words: str) -> None:
    async with proxy_before(free_port()) as proxy:
        reply = await request(proxy.admin, path, method=method)
        assert reply.status == status
        assert words in reply.body.decode()


async def test_a_waiter_for_readiness_that_leaves_is_forgotten() -> None:
    async with proxy_before(free_port()) as proxy:
        for _ in range(50):
            _reader, writer = await asyncio.open_connection("127.0.0.1", proxy.admin)
            writer.write(request_bytes("/ready?wait=3600"))
            writer.write_eof()
            writer.transport.abort()
        assert (await request(proxy.admin, "/healthz")).status == 200
        async with asyncio.timeout(60):
            while sum(1 for _ in os.scandir(f"/proc/{proxy.process.pid}/fd")) > 20:
                await asyncio.sleep(0.01)


async def test_the_engines_numbers_come_with_stats_while_somebody_asks() -> None:
    async def vllm(call: Call) -> bytes:
        labels = b'{model_name="m",engine="0"}'
        return ok(b"vllm:num_requests_running%b 3.0\nvllm:num_requests_waiting%b 4.0\n" % (labels, labels))

    model = Model(vllm)
    await model.start()
    async with proxy_before(model.port, "--engine-metrics", f"http://127.0.0.1:{model.port}/metrics") as proxy:
        assert (await proxy.stats())["engine"] is None
        await proxy.until_stats(engine={"running": 3.0, "waiting": 4.0, "kv_cache_usage": None})
        await proxy.until_ready()
        assert (await proxy.stats())["arrived"] == 0
    await model.stop()


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (("--limit", "-1"), 2, "argument --limit: must be a whole number from 0"),
        (("--probe", "{"), 2, "argument --probe: the probe is not JSON"),
        (("--probe", '{"httpGet": {"port": "http1"}}'), 2, "httpGet.port must be a number here, not the name 'http1'"),
        (("--listen", "fd:99"), 1, "--listen fd:99: not an inherited socket"),
        (("--listen", "fd:0"), 1, "--listen fd:0: not an inherited socket"),
        (("--no-such-flag",), 2, "unrecognized arguments: --no-such-flag"),
    ],
)
async def test_a_wrong_flag_is_one_line_that_says_what_is_wrong(
    flags: tuple[str, ...], status: int, words: str
) -> None:
    code, errors = await run_with(*flags)
    assert (code, errors.count("\n")) == (status, 1)
    assert words in errors


async def test_a_port_in_use_is_one_line_that_names_the_flag() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, errors = await run_with("--admin", address)
    assert (code, errors) == (1, f"queue_proxy: --admin {address}: cannot listen there: Address already in use\n")


async def run_with(*flags: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "queue_proxy", "--name", "a", "--upstream", "127.0.0.1:1"),
        *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *flags),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()
