"""Processes on a chosen core, up when they serve and gone when they are no longer needed."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 20.0

_PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "go": "golang-go (or go.dev/dl)"}
_MORE_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/go/bin")


class SetupError(Exception):
    """Something that the suite needs is not there, or did not start; the text says what to do."""


def tool(name: str) -> str:
    """The path of a program. Raises SetupError that names the package to install."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_MORE_PLACES)))
    if found is None:
        raise SetupError(f"{name} is not installed; on Debian and Ubuntu it is in the package {_PACKAGES[name]}")
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def cores() -> tuple[int, int]:
    """(of the proxy, of load and upstream). Raises SetupError on a machine with one core."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SetupError("two cores are needed: one for the proxy alone, one for load and upstream")
    return usable[0], usable[1]


@contextlib.contextmanager
def running(core: int, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a command on one core; yields its process id, kills it afterwards. Its output goes to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if env is None else {**os.environ, **env},
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    try:
        yield child.pid
        if child.poll() is not None:
            raise SetupError(f"{command[0]} ended with status {child.returncode}; its last words: {_last_words(log)}")
    finally:
        child.kill()
        child.wait()


def said_by(core: int, command: Sequence[str], seconds: float) -> str:
    """What a generator of load says that runs on one core for about so long. Raises SetupError when it fails."""
    ran = subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if ran.returncode != 0:
        raise SetupError(f"{command[0]} failed: {ran.stderr.strip()[-500:] or ran.stdout.strip()[-500:]}")
    return ran.stdout


def until_served(port: int, path: str, log: Path) -> None:
    """Return once GET `path` is answered with 200. Raises SetupError, with the log's end, when it never is."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    why: object = "no answer"
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
            if status == 200:
                return
            why = f"status {status}"
        except (OSError, http.client.HTTPException) as error:
            why = error
        finally:
            connection.close()
        time.sleep(0.02)
    raise SetupError(f"nothing serves {path} on port {port} ({why}); last words: {_last_words(log)}")


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-500:].strip() or "(none)"
