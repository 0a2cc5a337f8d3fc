"""Processes of a cluster: started with a mark in their environment, so that they can be found whoever lost them.

A test run can be killed at any moment, so no list in memory or on disk names everything that it started. The kernel
does: each process of a cluster, and each child of one, carries the run directory in its environment.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

MARK = "PILOTLIGHT_CLUSTER"


class ClusterError(Exception):
    """The cluster did not do what it was asked for; the message says what, with the end of the log that knows why."""


def spawn(run: Path, argv: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
    """Start a marked process that neither reads the terminal nor dies of its Ctrl-C; its output goes to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=marked(run),
            cwd="/",
            start_new_session=True,
        )


def marked(run: Path) -> dict[str, str]:
    return os.environ | {MARK: str(run)}


def processes_of(run: Path) -> Iterator[int]:
    """Process ids that carry the mark of `run`."""
    mark = f"{MARK}={run}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # gone meanwhile
                continue
            if mark in environment.split(b"\0"):
                yield int(entry.name)


def child_of(parent: int, program: str) -> int | None:
    """The child of `parent` that runs `program`: what nsenter has forked into another PID namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # "PID (NAME) STATE PARENT …"; a name may have spaces and parentheses.
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if name == program[:15] and int(rest.split()[1]) == parent:
                return int(entry.name)
    return None


def kill_all(run: Path) -> None:
    """SIGKILL everything that carries the mark, until nothing does. Raises ClusterError after ten seconds."""

    def none_left() -> bool:
        left = [process for process in processes_of(run) if process != os.getpid()]
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left

    wait_until(none_left, f"processes of {run} to end", timeout=10)


def wait_until(condition: Callable[[], bool], what: str, timeout: float, log: Path | None = None) -> None:
    """Ask `condition` ten times a second. Raises ClusterError with the end of `log` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout:.0f} s for {what}{tail(log)}")
        time.sleep(0.1)


def tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    return f"\n{log}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
