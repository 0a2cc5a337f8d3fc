"""A gRPC model behind `pilotlight up`: calls wait for the wake like any request, and come back with their trailers."""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
import pytest

from tests.integration.main_job.harness import journal_service, running_up, wait_for

MODEL = Path(__file__).with_name("grpc_model.py")


def _service(folder: Path) -> dict[str, object]:
    service = journal_service("words", folder / "unused", predictor={"minReplicas": 0, "maxReplicas": 1})
    spec = service["spec"]
    assert isinstance(spec, dict)
    (container,) = spec["predictor"]["containers"]
    container.update(
        command=[sys.executable, str(MODEL)],
        args=["9000"],
        ports=[{"name": "h2c", "containerPort": 9000}],
        readinessProbe={"grpc": {"port": 9000}},
    )
    return service


@pytest.mark.slow
def test_calls_sent_at_a_sleeping_service_are_answered_with_their_trailers(tmp_path: Path) -> None:
    with running_up(tmp_path, [_service(tmp_path)]) as up:
        with grpc.insecure_channel(f"127.0.0.1:{up.ports['default/words']}") as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            calls = [infer.future(b"word %d" % number, timeout=30) for number in range(20)]
            assert [call.result() for call in calls] == [b"word %d" % number for number in range(20)]
            assert ("answered-by", "grpc-model") in calls[0].trailing_metadata()
        wait_for("one ready replica", lambda: up.service("default/words").get("ready") == 1)
