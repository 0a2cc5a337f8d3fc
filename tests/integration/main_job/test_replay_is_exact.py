"""What was recorded, decided again, gives the same bytes; and a recording that was changed does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.main_job.harness import journal_service, pilotlight, running_up, wait_for
from tests.integration.main_job.request_swarm import run, send_all

SERVICE = "default/taped"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from zero through a burst and back to zero."""
    folder = tmp_path_factory.mktemp("recorded")
    service = _service(folder)
    path = folder / "run.jsonl"
    with running_up(folder, [service], "--record", str(path)) as up:
        run(send_all("127.0.0.1", up.ports[SERVICE], 60))
        wait_for("a replica", lambda: up.service(SERVICE).get("ready"))
        wait_for("zero again", lambda: up.service(SERVICE).get("wanted") == 0, within=60)
    return path


def _service(folder: Path, **predictor: object) -> dict[str, object]:
    return journal_service(
        "taped",
        folder / "journal",
        service_seconds=0.1,
        predictor={"minReplicas": 0, "maxReplicas": 3, "containerConcurrency": 4, **predictor},
        annotations={
            "pilotlight.dev/stable-window": "6s",
            "pilotlight.dev/scale-to-zero-grace-period": "1s",
            "pilotlight.dev/backlog-drain-objective": "1s",
        },
    )


def _replay(*arguments: str) -> tuple[int, str]:
    finished = pilotlight("replay", *arguments)
    return finished.returncode, finished.stdout + finished.stderr


@pytest.mark.slow
def test_a_recorded_run_decides_again_to_the_same_bytes(recording: Path) -> None:
    decisions = [line for line in recording.read_text().splitlines() if '"kind":"decision"' in line]
    assert len(decisions) >= 5
    status, said = _replay(str(recording))
    assert status == 0, said


@pytest.mark.slow
def test_one_changed_digit_is_found(recording: Path, tmp_path: Path) -> None:
    lines = recording.read_text().splitlines()
    index = next(i for i, line in enumerate(lines) if '"kind":"decision"' in line)
    line = json.loads(lines[index])
    line["decision"]["desired"] += 1
    lines[index] = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    changed = tmp_path / "changed.jsonl"
    changed.write_text("\n".join(lines) + "\n")
    status, said = _replay(str(changed))
    assert status == 1
    assert "desired" in said


@pytest.mark.slow
def test_another_policy_shows_what_it_would_have_done(recording: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(_service(recording.parent, maxReplicas=1)))
    status, said = _replay(str(recording), "-f", str(other))
    assert status == 0
    assert "desired 3 → 1" in said
