"""A Prometheus that does not answer, or answers nonsense: bounded in time and size, never zero, no secret told."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import json
import logging
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from autoscaler.cluster.interface import GpuMetricsError
from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.readings.prometheus_gpus import PrometheusGpus
from autoscaler.controller.settings import PrometheusAddress
from autoscaler.signals.reading import Known, Missing
from tests.integration.controller.controller_links import served
from tests.integration.controller.controller_process import eventually

TOKEN = "token-that-nobody-may-read"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def matrix(*series: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}


def busy(at: float, value: str = "50") -> dict[str, object]:
    labels = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "UUID": "GPU-1", "pod": "chat-a", "namespace": "default"}
    return {"metric": labels, "values": [[at, value]]}


@asynccontextmanager
async def prometheus(answer: Answer, seconds: float = 1.0, token: Path | None = None) -> AsyncIterator[PrometheusGpus]:
    application = web.Application()
    application.router.add_get("/behind/api/v1/query", answer)
    async with served(application) as url:
        yield PrometheusGpus(PrometheusAddress(f"{url}/behind", token), seconds=seconds, largest_answer=100_000)


async def trouble(source: PrometheusGpus) -> str:
    """Why nothing could be read; the answer is there within the bound."""
    began = time.monotonic()
    with pytest.raises(GpuMetricsError) as raised:
        await source.pod_gpus(time.time)
    assert time.monotonic() - began < 4.0
    return str(raised.value)


def replying(status: int, body: bytes, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


WRONG: list[tuple[str, Answer, str]] = [
    (
        "an error of Prometheus",
        replying(422, b'{"status":"error","error":"too many samples"}'),
        "answered 422: too many",
    ),
    ("a page", replying(200, b"<html>log in</html>"), "answered what is not Prometheus'"),
    ("nothing", replying(200, b""), "answered what is not Prometheus'"),
    ("JSON of another kind", replying(200, b"[1, 2]"), "answered what is not Prometheus'"),
    ("an object without data", replying(200, b'{"status": "success"}'), "answered what is not Prometheus'"),
    ("a vector", replying(200, json.dumps(matrix({"metric": {}, "value": [1, "2"]})).encode()), "not Prometheus'"),
    ("brackets without end", replying(200, b"[" * 90_000), "answered what is not Prometheus'"),
    ("bytes that are no text", replying(200, b"\xff\xfe\xfd"), "answered what is not Prometheus'"),
    ("more than anybody can hold", replying(200, b"x" * 100_001), "answered more than 100000 bytes"),
    (
        "much, packed small",
        replying(200, gzip.compress(b" " * 50_000_000), **{"Content-Encoding": "gzip"}),
        "answered more than 100000 bytes",
    ),
    ("what says it is packed", replying(200, b"nothing", **{"Content-Encoding": "gzip"}), "cannot be asked"),
    ("terminal codes in an error", replying(500, b'{"error":"\x1b[2Jred\nalert"}'), "answered 500: [2Jredalert"),
    ("a redirect", replying(302, b"", Location="http://127.0.0.1:1/"), "answered 302"),
]


@pytest.mark.parametrize(("answer", "why"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
async def test_what_is_no_answer_says_so(answer: Answer, why: str) -> None:
    async with prometheus(answer) as source:
        assert why in await trouble(source)


async def test_who_never_answers_is_given_up() -> None:
    async with prometheus(_never) as source:
        assert "did not answer in time" in await trouble(source)


async def test_who_answers_byte_by_byte_is_given_up() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    async with prometheus(answer) as source:
        assert "did not answer in time" in await trouble(source)


async def test_a_head_that_comes_byte_by_byte_costs_one_thread_and_no_more() -> None:
    enough, ended = asyncio.Event(), asyncio.Event()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not enough.is_set():
            writer.write(b"H")
            await asyncio.sleep(0.1)
        writer.close()
        ended.set()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        source = PrometheusGpus(PrometheusAddress(f"http://127.0.0.1:{port}"), seconds=0.5)
        assert "did not answer in time" in await trouble(source)
        for _ in range(3):
            assert "has not answered the query before" in await trouble(source)
        assert len([thread for thread in threading.enumerate() if thread.name == "ask Prometheus"]) == 1
        server.close()
        enough.set()
        await ended.wait()

        async def asked_anew() -> bool:
            return "Connection refused" in await trouble(source)

        await eventually("the thread to be free again", asked_anew)


async def test_the_loop_goes_on_while_prometheus_does_not_answer() -> None:
    async with prometheus(_never) as source:
        asking = asyncio.create_task(trouble(source))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 5


@pytest.mark.parametrize("services", [1, 500])
async def test_two_queries_are_asked_however_many_services_there_are(services: int) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        return web.json_response(matrix(busy(time.time())))

    async with prometheus(answer) as source:
        gpus = GpuMetrics(source, time.time, 10.0)
        await gpus.read()
        for index in range(services):
            gpus.readings(f"default/chat-{index}", ["chat-a"], time.time())
        assert isinstance(gpus.readings("default/chat", ["chat-a"], time.time()).utilization, Known)
    assert len(asked) == 2
    assert asked[0].startswith('{__name__=~"DCGM_FI_DEV_GPU_UTIL|')
    assert all(query.endswith('"}[2m]') for query in asked)


@pytest.mark.parametrize(("ahead", "why"), [(600.0, "600 s from now: clocks differ"), (3600.0, "clocks differ")])
async def test_a_prometheus_whose_clock_is_ahead_is_not_believed(ahead: float, why: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(matrix(busy(time.time() + ahead)))

    async with prometheus(answer) as source:
        gpus = GpuMetrics(source, time.time, 10.0)
        await gpus.read()
        reading = gpus.readings("default/chat", ["chat-a"], time.time()).utilization
    assert isinstance(reading, Missing)
    assert why in reading.why


async def test_a_step_of_the_wall_clock_does_not_age_a_reading() -> None:
    """The controller's clock does not follow the wall's; a sample's age is taken by the wall's, where both began."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(matrix(busy(time.time() - 5.0)))

    async with prometheus(answer) as source:
        busy_pod = (await source.pod_gpus(lambda: 1_000.0))["default/chat-a"].utilization
    assert busy_pod is not None
    assert round(busy_pod.oldest) == 995


async def test_trouble_is_logged_once_and_not_every_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    well = False

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(matrix()) if well else web.Response(status=503)

    async with prometheus(answer) as source:
        gpus = GpuMetrics(source, time.time, 10.0)
        for _ in range(3):
            await gpus.read()
        well = True
        await gpus.read()
    ours = [r.message for r in caplog.records if r.name.endswith("gpu_metrics")]
    assert len(ours) == 2
    assert "answered 503" in ours[0]
    assert ours[1] == "GPU metrics are read again"
    assert gpus.failures == 3


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
    certificate, context = _certificate(tmp_path)
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


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prometheus")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context


async def _never(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60.0)
    return web.Response()
