"""Components are kept alive, their deaths are told, and their end is orderly. Real processes."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from autoscaler.cluster.local.processes import Processes
from pilotlight.errors import CommandError
from pilotlight.listeners import bind_services
from pilotlight.run_directory import make_run_directory, remove_run_directory
from pilotlight.supervisor import Component, ComponentSpec
from tests.until import until


def component(tmp_path: Path, script: str, reports: list[str]) -> Component:
    spec = ComponentSpec("thing", ["/bin/sh", "-c", script], tmp_path / "thing.log")
    return Component(spec, Processes("test-run", announce=lambda _: None), reports.append)


async def test_a_component_that_dies_is_reported_and_started_again(tmp_path: Path) -> None:
    reports: list[str] = []
    pids = tmp_path / "pids"
    thing = component(tmp_path, f"echo $$ >> {pids}; exec sleep 60", reports)
    thing.start()
    await until(lambda: pids.exists() and pids.read_text().count("\n") == 1)
    os.kill(int(pids.read_text()), signal.SIGKILL)
    await until(lambda: pids.read_text().count("\n") == 2)
    assert thing.deaths == 1
    assert "SIGKILL" in reports[0]
    assert "thing" in reports[0]
    assert await thing.stop(5.0)
    assert not thing.running
    assert len(reports) == 1


async def test_pauses_between_starts_grow(tmp_path: Path) -> None:
    reports: list[str] = []
    thing = component(tmp_path, "exit 3", reports)
    thing.start()
    await until(lambda: len(reports) == 3)
    await thing.stop(1.0)
    assert [report.partition("again in ")[2].partition(" s")[0] for report in reports[:3]] == ["0.1", "0.2", "0.4"]
    assert "exit code 3" in reports[0]


async def test_one_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    reports: list[str] = []
    thing = component(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.1; done", reports)
    thing.start()
    await until(lambda: thing.last_lines() == ("up",))
    assert not await thing.stop(0.2)
    assert reports == []


async def test_the_end_of_its_log_is_at_hand(tmp_path: Path) -> None:
    thing = component(tmp_path, "echo first; echo second >&2; exec sleep 60", [])
    thing.start()
    await until(lambda: thing.last_lines() == ("first", "second"))
    assert thing.last_lines(1) == ("second",)
    await thing.stop(5.0)


def test_the_run_directory_is_private_and_goes_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    directory = make_run_directory(None)
    assert directory.parent == tmp_path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    remove_run_directory(directory)
    assert list(tmp_path.iterdir()) == []


def test_logs_that_the_user_asked_for_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    logs = tmp_path / "logs"
    directory = make_run_directory(logs)
    (directory / "logs" / "a.log").write_text("kept")
    remove_run_directory(directory)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert (logs / "a.log").read_text() == "kept"


def test_logs_in_place_of_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"--logs .*/file: is not a directory"):
        make_run_directory(tmp_path / "file")


def two_free_ports() -> int:
    """The first of two neighbours outside of the range from which the kernel gives ports away."""
    for first in range(21_000 + os.getpid() % 5_000, 32_000, 2):
        try:
            for listener in bind_services(["a", "b"], "127.0.0.1", first):
                listener.socket.close()
        except CommandError:
            continue
        return first
    raise AssertionError("no free ports")


def test_services_get_consecutive_ports_and_a_failure_leaves_none_bound() -> None:
    first = two_free_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 1))
        taken.listen()
        with pytest.raises(CommandError, match=f"port {first + 1} for service b"):
            bind_services(["a", "b"], "127.0.0.1", first)
    listeners = bind_services(["a", "b"], "127.0.0.1", first)
    assert [listener.port for listener in listeners] == [first, first + 1]
    for listener in listeners:
        listener.socket.close()


@pytest.mark.parametrize(("host", "port", "named"), [("127.0.0.1", 65_535, "65535"), ("203.0.113.9", 0, "--host")])
def test_addresses_that_cannot_be_had_are_named(host: str, port: int, named: str) -> None:
    with pytest.raises(CommandError, match=named):
        bind_services(["a", "b"], host, port)


async def test_of_what_a_component_logs_only_what_is_worth_telling_is_reported_and_only_once(tmp_path: Path) -> None:
    reports: list[str] = []
    said = ("one", "12:00 ERROR stopped recording to /x: full", "stopped recording to /x, for another", "two")
    script = "; ".join([*(f"echo '{line}'" for line in said), "exec sleep 60"])
    spec = ComponentSpec("thing", ["/bin/sh", "-c", script], tmp_path / "log", worth_telling="stopped recording to")
    thing = Component(spec, Processes("test-run", announce=lambda _: None), reports.append)
    thing.start()
    await until(lambda: thing.last_lines()[-1:] == ("two",))
    await thing.stop(5.0)
    assert reports == ["the thing stopped recording to /x: full"]
