"""A Prometheus that does not answer, or answers nonsense: bounded in time and size, and never zero."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
import time

import pytest
from aiohttp import web

from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.readings.prometheus_gpus import PrometheusGpus
from autoscaler.controller.settings import PrometheusAddress
from autoscaler.signals.reading import Known, Missing
from tests.integration.controller.controller_process import eventually
from tests.integration.controller.prometheus_answers import Answer, busy, matrix, prometheus, replying, trouble

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


async def _never(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60.0)
    return web.Response()
