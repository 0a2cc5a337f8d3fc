"""Nothing is left running, and no private file either, however the process that owns the run comes to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoscaler.cluster.local.procfs import read_process, read_processes
from tests.integration.local_cluster import tiny_cluster
from tests.integration.local_cluster.tiny_cluster import members


@contextmanager
def owner(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A process that owns a run of two replicas, the run's id, and the guardian's process id."""
    command = [sys.executable, "-m", tiny_cluster.__name__, str(folder), "2", *arguments]
    root = Path(tiny_cluster.__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            run = process.stdout.readline().strip()
            (guardian,) = guardians(process.pid, run)
            yield process, run, guardian
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], what: str, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def zombies_of(parent: int) -> list[int]:
    return [entry.pid for entry in read_processes().values() if entry.parent == parent and entry.is_zombie]


def _command_line(pid: int) -> bytes:
    """Of a process that may have ended since it was seen: then empty."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def guardians(owner: int, run: str) -> list[int]:
    """Those that watch over a run, among its owner's children."""
    command = f"autoscaler.cluster.local.guardian\0{run}".encode()
    children = map(int, Path(f"/proc/{owner}/task/{owner}/children").read_text().split())
    return [pid for pid in children if command in _command_line(pid)]


def gone(pid: int) -> bool:
    entry = read_process(pid)
    return entry is None or entry.is_zombie


@pytest.mark.parametrize("arguments", [(), ("--children=1",)], ids=["plain", "with-stray-children"])
def test_nothing_survives_a_sigkill_of_the_owner(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with owner(tmp_path, *arguments) as (process, run, guardian):
        assert len(members(run)) >= 4
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: members(run) == [], "processes of the run are left")
        wait_until(lambda: gone(guardian), "the guardian stays")
        assert not (tmp_path / "run").exists()


def test_nothing_survives_an_orderly_end(tmp_path: Path) -> None:
    with owner(tmp_path, "--children=1") as (process, run, guardian):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert members(run) == []
        assert gone(guardian)
        assert not (tmp_path / "run").exists()


def test_a_process_that_has_shed_every_mark_does_not_survive_an_orderly_end(tmp_path: Path) -> None:
    shed = tmp_path / "shed"
    with owner(tmp_path, f"--shed={shed}") as (process, _, _):
        wait_until(lambda: shed.exists() and len(shed.read_text().split()) == 2, "the models started nothing")
        pids = [int(pid) for pid in shed.read_text().split()]
        assert not any(map(gone, pids))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert all(map(gone, pids))


def test_a_guardian_that_was_killed_is_replaced_and_its_successor_knows_everything(tmp_path: Path) -> None:
    with owner(tmp_path, "--children=1") as (process, run, guardian):
        os.kill(guardian, signal.SIGKILL)
        wait_until(lambda: guardians(process.pid, run) not in ([], [guardian]), "no new guardian")
        (successor,) = guardians(process.pid, run)
        assert successor != guardian
        # It has said that it watches before it is of any use; its first word is a line on its own output.
        wait_until(lambda: _ignores_sigterm(successor), "the new guardian does not watch")
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: members(run) == [], "processes of the run are left")
        wait_until(lambda: gone(successor), "the guardian stays")


def test_strays_of_a_replica_that_ended_are_reaped_by_the_owner_that_adopted_them(tmp_path: Path) -> None:
    with owner(tmp_path, "--children=1") as (process, run, _):
        before = set(members(run))
        model = next(pid for pid in before if b"tiny_model.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(model, signal.SIGKILL)
        wait_until(lambda: model not in members(run) and len(members(run)) == len(before), "it was not replaced")
        wait_until(lambda: zombies_of(process.pid) == [], "zombies are left to the owner")


def test_a_guardian_lets_signals_for_the_owner_pass(tmp_path: Path) -> None:
    with owner(tmp_path) as (_, run, guardian):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(guardian, number)
        assert not gone(guardian)
        assert len(members(run)) == 4


def test_a_run_directory_that_is_not_its_own_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "run-id").write_text("another")
    command = [sys.executable, "-m", "autoscaler.cluster.local.guardian", "mine", str(tmp_path)]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    assert tmp_path.exists()


def _ignores_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")), 16)
    return bool(ignored & (1 << (signal.SIGTERM - 1)))
