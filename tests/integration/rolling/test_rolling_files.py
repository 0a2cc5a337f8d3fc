"""Files that are read again: what they change takes effect, what is wrong in them does not, services come and go."""

from __future__ import annotations

import signal
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.integration.main_job.harness import Up, journal_service, running_up, wait_for
from tests.integration.rolling.test_rolling_loses_nothing import SERVICE, lean_service, ready


def write(up: Up, *documents: Mapping[str, object]) -> None:
    up.manifest.write_text(yaml.safe_dump_all(documents))


def in_force(up: Up) -> dict[str, object]:
    body = up.get(f"/explain/{SERVICE}")
    assert isinstance(body, dict)
    policy = body["policy"]["in_force"]
    assert isinstance(policy, dict)
    return policy


def follow(up: Up, word: str) -> None:
    up.process.send_signal(signal.SIGHUP)
    wait_for(word, lambda: word in up.output.read_text())


@pytest.mark.slow
def test_an_edited_policy_counts_without_a_new_replica_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    with running_up(tmp_path, [lean_service(1)]) as up:
        (replica,) = wait_for("a replica", lambda: ready(up))
        write(up, lean_service(1, **{"pilotlight.dev/stable-window": "90s"}))
        follow(up, "read the files again")
        wait_for("the new window", lambda: in_force(up)["stable_window_seconds"] == 90.0)

        write(up, lean_service(1, **{"pilotlight.dev/stable-window": "soon"}))
        follow(up, "nothing was changed")
        assert "pilotlight.dev/stable-window" in up.output.read_text()
        assert in_force(up)["stable_window_seconds"] == 90.0

        up.manifest.write_text("spec: [")
        up.process.send_signal(signal.SIGHUP)
        wait_for("the second mistake", lambda: up.output.read_text().count("nothing was changed") == 2)
        assert ready(up) == {replica}


@pytest.mark.slow
def test_an_edited_container_rolls_its_replicas(tmp_path: Path) -> None:
    with running_up(tmp_path, [lean_service(1)]) as up:
        before = wait_for("a replica", lambda: ready(up))
        edited = lean_service(1)
        spec = edited["spec"]
        assert isinstance(spec, dict)
        spec["predictor"]["containers"][0]["args"].append("--service-seconds=0.001")
        write(up, edited)
        follow(up, "no replica is older than the last order")
        assert ready(up)
        assert not ready(up) & before
        assert up.processes("--service-seconds=0.001")


@pytest.mark.slow
def test_services_come_and_go_with_the_files(tmp_path: Path) -> None:
    other = journal_service("other", tmp_path / "journal", predictor={"minReplicas": 0, "maxReplicas": 1})
    with running_up(tmp_path, [lean_service(1)]) as up:
        wait_for("a replica", lambda: ready(up))
        write(up, lean_service(1), other)
        follow(up, "default/other is new, on port ")
        port = int(up.output.read_text().partition("default/other is new, on port ")[2].split()[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200

        write(up, other)
        follow(up, "default/lean is gone")
        wait_for("lean to leave the API", lambda: [s["service"] for s in up.services()] == ["default/other"])
        wait_for("its replicas to end", lambda: not up.processes("lean_model.py"))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200
        with pytest.raises(ConnectionRefusedError):
            _connect(up.ports[SERVICE])


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()
