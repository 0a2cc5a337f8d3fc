"""The controller may be killed in the middle of a burst: requests go on, and the gap is not read as silence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.main_job.harness import Up, journal_service, running_up, wait_for
from tests.integration.main_job.request_swarm import Answered, run, send_all

SERVICE = "default/burst"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_controller_restarted_in_a_burst_loses_nothing_and_does_not_scale_down(
    tmp_path: Path, number: signal.Signals
) -> None:
    service = journal_service(
        "burst",
        tmp_path / "journal",
        service_seconds=0.5,
        predictor={"minReplicas": 0, "maxReplicas": 4, "containerConcurrency": 4},
        annotations={"pilotlight.dev/stable-window": "6s", "pilotlight.dev/target": "4"},
    )
    recording = tmp_path / "run.jsonl"
    with running_up(tmp_path, [service], "--record", str(recording)) as up:
        answers = run(_burst_with_restart(up, number))
        ordered = _ordered_since_first_peak(recording)

    assert [answer.request for answer in answers if answer.lost or answer.statuses != [200]] == []
    assert ordered, "nothing was decided after the restart"
    assert min(ordered) >= 4, f"scaled down in the burst: {ordered}"


async def _burst_with_restart(up: Up, number: signal.Signals) -> list[Answered]:
    """Waves of 24 requests for twelve seconds; after the third wave the controller goes."""
    port = up.ports[SERVICE]
    answers = []
    waves = [asyncio.create_task(send_all("127.0.0.1", port, 24, "wave-0"))]
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, wait_for, "four ready replicas", lambda: up.service(SERVICE).get("ready") == 4)
    (controller,) = up.processes("autoscaler.controller")
    for wave in range(1, 9):
        waves.append(asyncio.create_task(send_all("127.0.0.1", port, 24, f"wave-{wave}")))
        if wave == 3:
            os.kill(controller, number)
        await asyncio.sleep(1.5)  # the load's own rhythm: 24 requests of 0.5 s on 16 slots
    for task in waves:
        answers += await task
    (successor,) = up.processes("autoscaler.controller")
    assert successor != controller
    return answers


def _ordered_since_first_peak(recording: Path) -> list[int]:
    """Replicas wanted by each decision from the first that wanted all four until the load ended."""
    lines = [json.loads(line) for line in recording.read_text().splitlines()]
    desired = [line["decision"]["desired"] for line in lines if line["kind"] == "decision"]
    return desired[desired.index(4) :]
