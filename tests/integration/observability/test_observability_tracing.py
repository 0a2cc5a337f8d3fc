"""Traces through real processes to a real collector."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.activator.activator_harness import Controller, activator_for, replicas
from tests.integration.observability.observability_world import SERVICE, Collector, chain
from tests.integration.queue_proxy.queue_proxy_harness import Call, ok, request, serving
from tests.until import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
LOST = 'pilotlight_activator_traced_requests_total{fate="dropped"}'
ACTIVATOR, PROXY = "pilotlight-activator", "pilotlight-queue-proxy"


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    for name, value in collector.environment().items():
        monkeypatch.setenv(name, value)
    yield collector
    await collector.stop()


def _sampled(flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{CALLER}-{flags}", "tracestate": "vendor=a,other=b"}


async def test_a_held_and_queued_request_is_one_trace_from_the_client_to_the_model(
    tmp_path: Path, collector: Collector
) -> None:
    async with chain(tmp_path, "--tracing", proxy_flags=("--limit", "1")) as hops:
        hops.may_answer.clear()
        occupant = asyncio.create_task(request(hops.proxy.port, "/occupant", headers={"traceparent": ""}))
        await until(lambda: len(hops.calls) == 1)
        traced = asyncio.create_task(request(hops.activator.port, "/v1/work?key=secret", headers=_sampled()))
        await hops.controller.until_stats(waiting=1)
        await asyncio.sleep(0.02)
        await hops.route()
        await hops.proxy.until_stats(waiting=1)
        await asyncio.sleep(0.02)
        hops.may_answer.set()
        assert (await traced).status == (await occupant).status == 200
        await until(lambda: len([span for span in collector.spans if span.trace_id == TRACE]) == 4)
        collector.spans = [span for span in collector.spans if span.trace_id == TRACE]
    outer, hold = collector.named(ACTIVATOR, "proxy"), collector.named(ACTIVATOR, "hold")
    inner, queue = collector.named(PROXY, "proxy"), collector.named(PROXY, "queue")
    assert [outer.parent_id, hold.parent_id, inner.parent_id, queue.parent_id] == [
        *(CALLER, outer.span_id, outer.span_id, inner.span_id)
    ]
    assert outer.began <= hold.began < hold.ended <= queue.ended <= inner.ended <= outer.ended + 0.005
    assert {span.state for span in collector.spans} == {"vendor=a,other=b"}
    for span in (outer, inner):
        assert span.attributes["pilotlight.service"] == SERVICE
        assert span.attributes["pilotlight.replica"] == "chat-1"
        assert span.attributes["pilotlight.outcome"] == "completed"
        assert span.attributes["http.response.status_code"] == 200
        assert span.attributes["url.path"] == "/v1/work"
        assert float(span.attributes["pilotlight.wait_seconds"]) >= 0.02
        assert not span.failed
    told = hops.calls[1].headers
    assert told[b"traceparent"] == f"00-{TRACE}-{inner.span_id}-01".encode()
    assert told[b"tracestate"] == b"vendor=a,other=b"


async def test_without_tracing_the_context_passes_both_hops_untouched(tmp_path: Path) -> None:
    # Not even valid: what is not ours is not ours to judge.
    sent = {"traceparent": "00-NOT-A-TRACE-01 ", "tracestate": "a=1, b=2", "baggage": "user=1"}
    async with chain(tmp_path, "--request-log", str(tmp_path / "log")) as hops:
        await hops.route()
        assert (await request(hops.activator.port, headers=sent)).status == 200
        assert (await request(hops.activator.port, headers=_sampled())).status == 200
    first, second = (call.headers for call in hops.calls)
    assert {name: first[name.encode()].decode() for name in sent} == {n: value.strip() for n, value in sent.items()}
    assert {name: second[name.encode()].decode() for name in _sampled()} == _sampled()


async def test_who_is_not_sampled_by_the_caller_is_not_recorded_and_passes_untouched(
    tmp_path: Path, collector: Collector
) -> None:
    async with chain(tmp_path, "--tracing") as hops:
        await hops.route()
        assert (await request(hops.activator.port, headers=_sampled("00"))).status == 200
        assert (await request(hops.activator.port, "/last")).status == 200
        await until(lambda: len(collector.spans) >= 2)
    assert hops.calls[0].headers[b"traceparent"] == _sampled("00")["traceparent"].encode()
    assert TRACE not in {span.trace_id for span in collector.spans}


async def test_without_a_caller_a_trace_begins_here_and_goes_on_behind_us(tmp_path: Path, collector: Collector) -> None:
    async with chain(tmp_path, "--tracing") as hops:
        await hops.route()
        assert (await request(hops.activator.port, headers={"traceparent": "00-nonsense"})).status == 200
        await until(lambda: [span.name for span in collector.spans].count("proxy") == 2)
    outer, inner = collector.named(ACTIVATOR, "proxy"), collector.named(PROXY, "proxy")
    assert (outer.parent_id, inner.parent_id, inner.trace_id) == ("", outer.span_id, outer.trace_id)


async def test_probes_make_no_spans_and_a_refusal_makes_one_that_says_so(tmp_path: Path, collector: Collector) -> None:
    async with chain(tmp_path, "--tracing", "--drain-seconds", "0") as hops:
        await request(hops.activator.port, "/healthz", headers={"user-agent": "kube-probe/1.36", **_sampled()})
        held = asyncio.create_task(request(hops.activator.port, headers=_sampled()))
        await hops.controller.until_stats(waiting=1)
        hops.activator.terminate()
        assert (await held).status == 503
        await until(lambda: len(collector.spans) == 2)
    span = collector.named(ACTIVATOR, "proxy")
    assert span.failed
    assert span.attributes["pilotlight.outcome"] == "refused"
    assert collector.named(ACTIVATOR, "hold").parent_id == span.span_id


async def test_a_collector_that_is_away_costs_spans_and_no_requests(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    await collector.stop()
    controller = Controller(tmp_path / "control.sock")
    await controller.start()
    async with replicas(1) as (replica,), activator_for(controller.path, "--tracing") as activator:
        await controller.route(replica.endpoint())
        for number in range(2):
            assert (await activator.get()).status == 200
            async with asyncio.timeout(60):
                while (await activator.metrics())[LOST] <= number:
                    await asyncio.sleep(0.02)
        await activator.said("spans cannot be exported: ")
        assert len([line for line in activator.lines if "spans" in line]) == 1
        activator.lines.clear()
    await controller.stop()


async def test_a_collector_that_never_answers_holds_nobody_up_who_is_told_twice_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await never.wait()
        writer.close()

    async def hang(call: Call) -> bytes:
        if call.path == b"/hangs":
            await never.wait()
        return ok()

    stuck = await asyncio.start_server(take, "127.0.0.1", 0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{stuck.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    async with serving(hang, "--tracing") as (model, proxy):
        assert (await request(proxy.port)).status == 200
        hanging = asyncio.create_task(request(proxy.port, "/hangs"))
        await model.arrived(2)
        await asked.wait()
        proxy.terminate()
        async with asyncio.timeout(60):
            while (await request(proxy.admin, "/ready")).status == 200:
                await asyncio.sleep(0.005)
        began = time.monotonic()
        proxy.terminate()
        assert await proxy.process.wait() == 143
        # The export would be tried for ten seconds.
        assert time.monotonic() - began < 8.0
        await asyncio.gather(hanging, return_exceptions=True)
        never.set()
    stuck.close()


async def test_nothing_of_opentelemetry_is_loaded_unless_asked_for() -> None:
    code = (
        "import sys, activator.activator, queue_proxy.proxy, queue_proxy.observability as o, time\n"
        "o.Observability('activator', 'one', o.Flags(request_log='stdout'), time.monotonic)\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests', 'google'))])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b"[]\n"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not 'grpc'"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER must be otlp or none, not 'zipkin'"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "OTEL_BSP_MAX_QUEUE_SIZE must be a whole number"),
    ],
)
async def test_an_environment_that_cannot_be_followed_is_one_sentence_and_status_1(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "queue_proxy", "--name", "chat-1", "--tracing"),
        *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", "127.0.0.1:1"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith("queue_proxy: --tracing: ")
    assert words in said.decode()
    assert said.count(b"\n") == 1
