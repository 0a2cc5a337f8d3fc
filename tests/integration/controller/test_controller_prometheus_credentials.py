"""What is shown to a Prometheus and why it is believed: a token that nobody else learns, and a certificate."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from aiohttp import web

from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.readings.prometheus_gpus import PrometheusGpus
from autoscaler.controller.settings import PrometheusAddress
from tests.integration.controller.controller_links import served
from tests.integration.controller.prometheus_answers import busy, matrix, prometheus, replying, trouble
from tests.integration.self_signed import self_signed

TOKEN = "token-that-nobody-may-read"


async def test_the_token_is_sent_read_anew_and_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sent: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization", ""))
        return web.json_response({"error": f"what is {request.headers['Authorization']}?"}, status=401)

    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    async with prometheus(answer, token=file) as source:
        gpus = GpuMetrics(source, time.time, 10.0)
        await gpus.read()
        assert gpus.trouble is not None
        assert "answered 401" in gpus.trouble
        file.write_text("another-token")
        await gpus.read()
    assert sent == [f"Bearer {TOKEN}", "Bearer another-token"]
    told = gpus.trouble + caplog.text + repr(gpus.readings("default/chat", ["chat-a"], time.time()))
    assert TOKEN not in told
    assert "another-token" not in told


@pytest.mark.parametrize("inside", [b"", b"two words", b"line\nline", b"\xff\xfe", b"t" * 70_000])
async def test_a_token_file_that_holds_none_is_named_and_not_shown(tmp_path: Path, inside: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(inside)
    async with prometheus(replying(200, b""), token=file) as source:
        why = await trouble(source)
    assert why == f"the token file {file} does not hold one token"


async def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with prometheus(replying(200, b""), token=tmp_path / "none") as source:
        assert await trouble(source) == f"the token file {tmp_path}/none cannot be read: No such file or directory"


async def test_a_redirect_does_not_take_the_token_along(tmp_path: Path) -> None:
    sent: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization", ""))
        return web.json_response(matrix())

    other = web.Application()
    other.router.add_get("/{path:.*}", elsewhere)
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with served(other) as url, prometheus(replying(307, b"", Location=f"{url}/"), token=file) as source:
        assert "answered 307" in await trouble(source)
    assert sent == []


async def test_nothing_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    sent: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization", ""))
        return web.json_response(matrix())

    async with prometheus(answer) as source:
        assert await source.pod_gpus(time.time) == {}
    assert sent == ["", ""]


async def test_a_certificate_counts_if_who_signed_it_is_named(tmp_path: Path) -> None:
    certificate, context = self_signed(tmp_path)
    application = web.Application()

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(matrix(busy(time.time())))

    application.router.add_get("/api/v1/query", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        told = await PrometheusGpus(PrometheusAddress(url, ca_file=certificate)).pod_gpus(time.time)
        assert list(told) == ["default/chat-a"]
        assert "certificate is not accepted" in await trouble(PrometheusGpus(PrometheusAddress(url)))
        nobody = PrometheusGpus(PrometheusAddress(url, ca_file=tmp_path / "none.pem"))
        assert "cannot be asked" in await trouble(nobody)
    finally:
        await runner.cleanup()
