"""gRPC calls are told of like any other request: each call a line in the log and a place in its trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from activator.messages import Endpoint, EndpointState
from tests.integration.activator.activator_harness import Controller, activator_for
from tests.integration.http2.http2_grpc_model import grpc_client, grpc_model
from tests.integration.observability.observability_world import Collector, lines_of
from tests.integration.queue_proxy.queue_proxy_harness import proxy_before
from tests.until import until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
METADATA = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("authorization", "Bearer s3cr3t"))


async def test_a_call_is_one_trace_through_both_hops_and_one_line_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, controller = Collector(), Controller(tmp_path / "control.sock")
    await collector.start()
    await controller.start()
    for name, value in collector.environment().items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "requests.log"
    flags = ("--tracing", "--request-log", str(log))
    async with (
        grpc_model() as model,
        proxy_before(model.port, "--upstream-protocol", "h2c", *flags) as proxy,
        activator_for(controller.path, *flags) as activator,
        grpc_client(activator.port) as client,
    ):
        await proxy.until_ready()
        await controller.route(Endpoint("chat-1", "127.0.0.1", proxy.port, proxy.admin, EndpointState.READY))
        assert await client.infer(b"hello", timeout=20, metadata=METADATA) == b"hello"
        await until(lambda: [span.name for span in collector.spans].count("proxy") == 2)
        await until(lambda: len(lines_of(log)) == 2)
    await controller.stop()
    await collector.stop()
    outer, inner = (collector.named(f"pilotlight-{who}", "proxy") for who in ("activator", "queue-proxy"))
    assert (outer.trace_id, outer.parent_id) == (inner.trace_id, CALLER) == (TRACE, CALLER)
    assert inner.parent_id == outer.span_id
    assert model.metadata["traceparent"] == f"00-{TRACE}-{inner.span_id}-01"
    for line in lines_of(log):
        assert (line["outcome"], line["status"], line["trace_id"]) == ("completed", 200, TRACE)
        assert str(line["path"]).endswith("/ModelInfer")
    assert "s3cr3t" not in log.read_text()
