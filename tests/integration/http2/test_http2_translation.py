"""HTTP/2 clients before a model that speaks HTTP/1, with curl and h2load as clients that know nothing of us."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from tests.integration.queue_proxy.queue_proxy_harness import Call, ok, proxy_before, request, serving
from tests.until import until

pytestmark = [
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]


async def curl(port: int, path: str, *flags: str, send: bytes | None = None) -> tuple[int, str, bytes]:
    """The last status (0 without one), everything that curl says beside the body, and the body."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "--http2-prior-knowledge", "-D", "/dev/stderr", "--max-time", "30", *flags),
        f"http://127.0.0.1:{port}{path}",
        stdin=asyncio.subprocess.PIPE if send is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    body, head = await process.communicate(send)
    statuses = re.findall(rb"HTTP/2 (\d+)", head)
    return int(statuses[-1]) if statuses else 0, head.decode(), body


async def echo(call: Call) -> bytes:
    return ok(b"%b %b %b" % (call.method, call.path, call.body))


async def test_requests_and_answers_are_translated() -> None:
    seen: list[Call] = []

    async def keep(call: Call) -> bytes:
        seen.append(call)
        return await echo(call)

    async with serving(keep) as (model, proxy):
        status, head, body = await curl(proxy.port, "/v1?x=1", "-d", "tensor", "-H", "pilotlight-x: 1")
        assert (status, body) == (200, b"POST /v1?x=1 tensor")
        assert "content-length" in head
        assert seen[0].headers[b"host"] == b"127.0.0.1:%d" % proxy.port
        assert b"pilotlight-x" not in seen[0].headers
        assert (await curl(proxy.port, "/v1", "-I"))[0] == 200
        assert (await request(proxy.port, "/v1")).status == 200
        assert model.most_running == 1
        await proxy.until_stats(completed=3, running=0)


async def test_a_body_without_a_length_goes_chunked_and_a_chunked_answer_comes_back_whole() -> None:
    async def chunked(call: Call) -> bytes:
        assert call.headers[b"transfer-encoding"] == b"chunked"
        size = 0
        while length := int((await call.reader.readuntil(b"\r\n"))[:-2], 16):
            size += length
            await call.reader.readexactly(length + 2)
        await call.reader.readexactly(2)
        body = b"".join(b"%x\r\n%b\r\n" % (5_000, bytes(5_000)) for _ in range(200))
        call.writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-size: %d\r\n\r\n" % size)
        return body + b"0\r\nchecksum: 1\r\n\r\n"

    async with serving(chunked) as (_, proxy):
        status, head, body = await curl(proxy.port, "/", "-T", "-", send=bytes(3_000_000))
        assert (status, len(body)) == (200, 1_000_000)
        assert "x-size: 3000000" in head
        assert "transfer-encoding" not in head
        await proxy.until_stats(completed=1, running=0)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, id="no body"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", 502, id="two lengths"),
        pytest.param(b"nonsense\r\n\r\n", 502, id="no HTTP"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 502),
    ],
)
async def test_other_answers(answer: bytes, status: int) -> None:
    async def give(call: Call) -> bytes:
        return answer

    async with serving(give) as (_, proxy):
        assert (await curl(proxy.port, "/"))[0] == status
        await proxy.until_stats(running=0)


async def test_an_answer_that_ends_with_its_connection_and_one_that_breaks_off() -> None:
    seen = asyncio.Event()

    async def end(call: Call) -> bytes:
        length = b"content-length: 9\r\n" if call.path == b"/cut" else b""
        call.writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nhello")
        await call.writer.drain()
        if call.path == b"/cut":
            # Of a reset in the same read curl makes the end of everything, also of what came before it.
            await seen.wait()
        call.writer.close()
        return b""

    async def nonsense(call: Call) -> bytes:
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n"

    async with serving(nonsense) as (_, proxy):
        assert "INTERNAL_ERROR" in (await curl(proxy.port, "/"))[1]
        await proxy.until_stats(completed=0, failed=1, running=0)
    async with serving(end) as (_, proxy):
        assert (await curl(proxy.port, "/"))[2] == b"hello"
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sSN", "--http2-prior-knowledge", f"http://127.0.0.1:{proxy.port}/cut"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readexactly(5), 10) == b"hello"
        seen.set()
        rest, said = await process.communicate()
        assert rest == b""
        assert b"INTERNAL_ERROR" in said, "the client must see that it is not whole"
        await proxy.until_stats(completed=1, failed=1, running=0)


async def test_events_pass_one_by_one() -> None:
    gate = asyncio.Event()

    async def events(call: Call) -> bytes:
        call.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await gate.wait()
        call.writer.close()
        return b""

    async with serving(events) as (_, proxy):
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sSN", "--http2-prior-knowledge", f"http://127.0.0.1:{proxy.port}/"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readuntil(b"\n\n"), 10) == b"data: 1\n\n"
        gate.set()
        assert await process.wait() == 0


async def test_a_model_that_is_not_there_is_a_503_and_a_client_that_leaves_frees_its_slot() -> None:
    gate = asyncio.Event()

    async def wait(call: Call) -> bytes:
        await gate.wait()
        return ok()

    async with serving(wait, "--limit", "1") as (model, proxy):
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{proxy.port}/"
        )
        await proxy.until_stats(running=1)
        process.kill()
        await process.wait()
        await proxy.until_stats(running=0, abandoned=1)
        gate.set()
        await until(lambda: model.running == 0)
        await model.stop()
        assert (await curl(proxy.port, "/"))[0] in (502, 503)


@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load")
async def test_h2load_gets_every_answer_and_the_limit_holds(tmp_path: Path) -> None:
    async with serving(echo, "--limit", "10", "--queue-requests", "1000") as (model, proxy):
        body = tmp_path / "body"
        body.write_bytes(bytes(5_000))
        process = await asyncio.create_subprocess_exec(
            *("h2load", "-n", "1000", "-c", "5", "-m", "40", "-d", str(body), f"http://127.0.0.1:{proxy.port}/"),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert b"1000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said.decode()
        assert b"1000 2xx" in said
        assert model.most_running <= 10
        await proxy.until_stats(completed=1000, running=0)


async def test_the_preface_behind_a_request_of_http1_is_no_way_in() -> None:
    async with serving(echo) as (_, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        said = await asyncio.wait_for(reader.read(), 20)
        assert b"HTTP/1.1 505" in said
        writer.close()


async def test_the_admin_port_does_not_speak_http2() -> None:
    async with proxy_before(1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.admin)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 505")
        writer.close()
