"""The request log of real processes: what is in it, what is never in it, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.observability.observability_world import SERVICE, chain, lines_of
from tests.integration.queue_proxy.queue_proxy_harness import Call, ok, request, serving
from tests.until import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRETS = {
    "authorization": "Bearer s3cr3t",
    "cookie": "session=s3cr3t",
    "x-api-key": "s3cr3t",
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    "user-agent": 'curl/8 "quoted"',
}


async def hello(call: Call) -> bytes:
    return ok(b"hello")


async def test_each_hop_writes_one_line_for_each_request(tmp_path: Path) -> None:
    async with chain(tmp_path, "--request-log", str(tmp_path / "requests.log")) as hops:
        asking = asyncio.create_task(
            request(hops.activator.port, "/v1/chat?api_key=s3cr3t", method="POST", headers=SECRETS, body=b"x" * 100)
        )
        await hops.controller.until_stats(waiting=1)
        await asyncio.sleep(0.01)
        await hops.route()
        assert (await asking).status == 200
        await until(lambda: len(lines_of(tmp_path / "requests.log")) == 2)
        text = (tmp_path / "requests.log").read_text()
        page = await hops.activator.metrics()
    assert "s3cr3t" not in text
    assert page['pilotlight_activator_request_log_lines_total{fate="written"}'] == 1
    first, second = sorted(lines_of(tmp_path / "requests.log"), key=lambda line: str(line["component"]))
    assert (first["component"], second["component"]) == ("activator", "queue_proxy")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    # Only the client's own connection ends with this answer.
    for line, size in ((first, len(answer) + len(b"connection: close\r\n")), (second, len(answer))):
        expected = {
            "service": SERVICE,
            "replica": "chat-1",
            "method": "POST",
            "path": "/v1/chat",
            "status": 200,
            "outcome": "completed",
            "trace_id": TRACE,
            "user_agent": 'curl/8 "quoted"',
            "bytes_out": size,
        }
        assert {name: line[name] for name in expected} == expected
        assert int(str(line["bytes_in"])) > 100
        wait, first_byte, total = (float(str(line[f"{name}_seconds"])) for name in ("wait", "first_byte", "total"))
        assert 0 <= wait <= first_byte <= total < 20
    assert float(str(first["wait_seconds"])) >= 0.01


@pytest.mark.parametrize(("flags", "lines"), [((), 1), (("--request-log-probes",), 3)])
async def test_probes_and_scrapes_are_in_the_log_only_if_asked_for(
    tmp_path: Path, flags: tuple[str, ...], lines: int
) -> None:
    log = tmp_path / "requests.log"
    async with serving(hello, "--request-log", str(log), *flags) as (_, proxy):
        await request(proxy.port, headers={"user-agent": "kube-probe/1.36"})
        await request(proxy.port, "/metrics")
        await request(proxy.port, "/work")
        await until(lambda: len(lines_of(log)) == lines)
    assert [line["path"] for line in lines_of(log)][-1] == "/work"


async def test_how_each_request_ended_is_in_its_line(tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    answer = asyncio.Event()

    async def handle(call: Call) -> bytes:
        if call.path == b"/dies":
            call.writer.transport.abort()
            return b""
        if call.path == b"/slow":
            await answer.wait()
        return ok()

    async with serving(handle, "--request-log", str(log), "--limit", "1", "--queue-requests", "1") as (model, proxy):
        assert (await request(proxy.port, "/dies")).status == 502
        slow = asyncio.create_task(request(proxy.port, "/slow"))
        await proxy.until_stats(running=1)
        leaves = asyncio.create_task(request(proxy.port, "/leaves"))
        await proxy.until_stats(waiting=1)
        assert (await request(proxy.port, "/refused")).status == 503
        leaves.cancel()
        await proxy.until_stats(waiting=0)
        answer.set()
        await slow
        await model.stop()
        assert (await request(proxy.port, "/nobody")).status in (502, 503)
        await until(lambda: len(lines_of(log)) == 5)
    ended = {str(line["path"]): (line["outcome"], line["status"]) for line in lines_of(log)}
    assert ended["/dies"] == ("failed", 502)
    assert ended["/slow"] == ("completed", 200)
    assert ended["/refused"] == ("refused", 503)
    assert ended["/leaves"] == ("abandoned", None)
    assert ended["/nobody"][0] == "failed"


async def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log, old = tmp_path / "requests.log", tmp_path / "requests.log.1"
    async with serving(hello, "--request-log", str(log)) as (_, proxy):
        await request(proxy.port, "/one")
        await until(lambda: len(lines_of(log)) == 1)
        log.rename(old)
        await request(proxy.port, "/two")
        await until(lambda: log.exists() and len(lines_of(log)) == 1)
    assert [line["path"] for line in (*lines_of(old), *lines_of(log))] == ["/one", "/two"]


async def test_what_is_left_is_written_when_the_process_ends(tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    async with serving(hello, "--request-log", str(log)) as (_, proxy):
        await asyncio.gather(*(request(proxy.port, f"/{number}") for number in range(20)))
        proxy.terminate()
        assert await proxy.process.wait() == 0
    assert len(lines_of(log)) == 20


async def test_a_log_that_nobody_reads_stops_no_request_and_its_losses_are_counted(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    long_agent = {"user-agent": "a" * 250}
    async with serving(hello, "--request-log", str(pipe)) as (_, proxy):
        for _ in range(8):
            replies = await asyncio.gather(*(request(proxy.port, headers=long_agent) for _ in range(50)))
            assert {reply.status for reply in replies} == {200}
        os.close(reader)
        async with asyncio.timeout(60):
            while 'lines_total{fate="dropped"} 0.0' in (await request(proxy.admin, "/metrics")).body.decode():
                await asyncio.sleep(0.02)
        assert (await request(proxy.port)).status == 200
        proxy.process.send_signal(signal.SIGTERM)
        assert await proxy.process.wait() == 0
        assert proxy.process.stderr is not None
        assert b"the request log cannot be written: Broken pipe\n" in await proxy.process.stderr.read()


async def test_a_line_for_standard_output_goes_there(tmp_path: Path) -> None:
    async def ask() -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "queue_proxy", "--name", "chat-1", "--request-log", "stdout"),
            *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", "127.0.0.1:1"),
            *("--drain-seconds", "0", "--request-log-probes"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        ready = (await process.stderr.readline()).decode()
        port = int(ready.split("requests on 127.0.0.1:")[1].split(",")[0])
        assert (await request(port, "/metrics")).status == 503
        process.terminate()
        output, _ = await process.communicate()
        return output

    (line,) = (await ask()).splitlines()
    assert json.loads(line)["status"] == 503


@pytest.mark.parametrize(
    ("target", "words"), [("/", "must be stdout or the path of a file"), ("/nowhere/at/all", "No such file")]
)
async def test_a_log_that_cannot_be_had_is_one_sentence(target: str, words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "activator", "--name", "a", "--control", "unix:/tmp/none", "--request-log", target),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode in (1, 2)
    assert "--request-log" in said.decode()
    assert words in said.decode()
    assert said.count(b"\n") == 1
