"""`pilotlight up` on a machine without a GPU: what GPUs do is Missing with a reason, and sleep is none the later."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.cluster.interface import NoGpusError
from autoscaler.cluster.local.nvml import read_devices
from tests.integration.main_job.harness import journal_service, pilotlight, running_up, wait_for
from tests.integration.main_job.request_swarm import run, send_all

SERVICE = "default/ungpued"


@pytest.mark.slow
def test_without_a_gpu_the_readings_say_why_and_the_service_sleeps(tmp_path: Path) -> None:
    try:
        read_devices(["0"])
    except NoGpusError as error:
        why = str(error)
    else:
        pytest.skip("this machine has a GPU")
    service = journal_service(
        "ungpued",
        tmp_path / "journal",
        predictor={"minReplicas": 0},
        annotations={"pilotlight.dev/stable-window": "2s", "pilotlight.dev/scale-to-zero-grace-period": "0s"},
    )
    recording = tmp_path / "run.jsonl"
    with running_up(tmp_path, [service], "--record", str(recording)) as up:
        run(send_all("127.0.0.1", up.ports[SERVICE], 1))
        shown = up.service(SERVICE)
        assert (shown["gpu_utilization"], shown["gpu_memory"]) == (None, None)
        explained = up.get(f"/explain/{SERVICE}")
        assert isinstance(explained, dict)
        assert explained["readings"]["gpu_utilization"] == {"missing": why}
        assert explained["readings"]["gpu_memory"] == {"missing": why}
        page = pilotlight("explain", SERVICE, "--api", up.api.removeprefix("http://"))
        assert page.returncode == 0, page.stderr
        assert SERVICE in page.stdout
        assert "GPU" not in page.stdout  # whose policy does not look at GPUs need not hear that there are none
        wait_for("sleep", lambda: up.service(SERVICE).get("wanted") == 0, within=30)
    assert f'"gpu_utilization":{{"missing":"{why}"}}' in recording.read_text()
    replayed = pilotlight("replay", str(recording))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
