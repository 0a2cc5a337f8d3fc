"""A real OTLP/HTTP collector, and client → activator → queue proxy → model with every hop in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from activator.messages import Endpoint, EndpointState
from tests.integration.activator.activator_harness import Activator, Controller, activator_for
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, Proxy, ok, proxy_before

SERVICE = "default/chat"


@dataclass(frozen=True)
class Span:
    """One span as the collector got it; ids in hexadecimal, times in seconds."""

    process: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    began: float
    ended: float
    failed: bool
    attributes: Mapping[str, str | int | float]


class Collector:
    """Takes traces on /v1/traces as OTLP's specification has it: protobuf, possibly gzipped."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.requests = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def environment(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def named(self, process: str, name: str) -> Span:
        (span,) = [span for span in self.spans if (span.process, span.name) == (process, name)]
        return span

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        data = await request.read()
        message = ExportTraceServiceRequest.FromString(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        self.requests += 1
        for of_resource in message.resource_spans:
            resource = {item.key: item.value.string_value for item in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    values = {item.key: item.value for item in span.attributes}
                    self.spans.append(
                        Span(
                            process=resource["service.name"],
                            name=span.name,
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex(),
                            state=span.trace_state,
                            began=span.start_time_unix_nano / 1e9,
                            ended=span.end_time_unix_nano / 1e9,
                            failed=span.status.code == span.status.STATUS_CODE_ERROR,
                            attributes={
                                key: getattr(value, value.WhichOneof("value")) for key, value in values.items()
                            },
                        )
                    )
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


@dataclass
class Chain:
    """All hops. `calls` is what the model was asked."""

    activator: Activator
    proxy: Proxy
    controller: Controller
    calls: list[Call] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def route(self) -> None:
        await self.controller.route(
            Endpoint("chat-1", "127.0.0.1", self.proxy.port, self.proxy.admin, EndpointState.READY)
        )


@contextlib.asynccontextmanager
async def chain(folder: Path, *flags: str, proxy_flags: tuple[str, ...] = ()) -> AsyncIterator[Chain]:
    """Every hop with `flags`; the activator knows no endpoint yet."""
    calls: list[Call] = []
    may_answer = asyncio.Event()
    may_answer.set()

    async def handle(call: Call) -> bytes:
        calls.append(call)
        await may_answer.wait()
        return ok(b"hello")

    model = Model(handle)
    await model.start()
    controller = Controller(folder / "control.sock")
    await controller.start()
    try:
        async with (
            proxy_before(model.port, "--service", SERVICE, *flags, *proxy_flags) as proxy,
            activator_for(controller.path, *flags) as activator,
        ):
            await proxy.until_ready()
            yield Chain(activator, proxy, controller, calls, may_answer)
    finally:
        await controller.stop()
        await model.stop()


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
