"""Runs `pilotlight up` as a user does, and looks at it from outside: its API, its processes, its journal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml

PILOTLIGHT = Path(sys.executable).with_name("pilotlight")
MODEL = Path(__file__).with_name("journal_model.py")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal model's journal."""

    at: float
    pid: int
    kind: str
    request: str


def read_journal(path: Path) -> list[Event]:
    """What has reached the model's replicas so far, in order."""
    if not path.exists():
        return []
    rows = (line.split() for line in path.read_text().splitlines())
    return [Event(float(at), int(pid), kind, request) for at, pid, kind, request in rows]


def journal_service(
    name: str,
    journal: Path,
    *,
    load_seconds: float = 0.3,
    service_seconds: float = 0.0,
    predictor: Mapping[str, object] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """An InferenceService whose replicas are journal models."""
    model = [
        f"--port=$(PORT) --journal={journal}",
        f"--load-seconds={load_seconds} --service-seconds={service_seconds}",
    ]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {
                "serving.kserve.io/autoscalerClass": "external",
                "serving.kserve.io/deploymentMode": "Standard",
                "pilotlight.dev/scaling": "on",
                **(annotations or {}),
            },
        },
        "spec": {
            "predictor": {
                **(predictor or {}),
                "containers": [
                    {
                        "name": "kserve-container",
                        "image": "example.com/journal-model:1",
                        "command": [sys.executable, str(MODEL)],
                        "args": " ".join(model).split(),
                        "ports": [{"containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                    }
                ],
            }
        },
    }


def wait_for(what: str, condition: Callable[[], Found | None], within: float = 60.0) -> Found:
    """Poll until `condition` gives something true; says what was waited for when it never does."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {within} s in vain for {what}")


def free_ports(count: int) -> int:
    """The first of `count` consecutive free ports."""
    for first in range(20_000 + os.getpid() % 5_000, 32_000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


class Up:
    """One running `pilotlight up`."""

    def __init__(self, folder: Path, documents: Sequence[Mapping[str, object]], *flags: str) -> None:
        self.folder = folder
        self.manifest = folder / "services.yaml"
        self.manifest.write_text(yaml.safe_dump_all(documents))
        services = [document for document in documents if document["kind"] == "InferenceService"]
        first = free_ports(len(services) + 1)
        self.api = f"http://127.0.0.1:{first}"
        self.ports = {_name(service): first + 1 + index for index, service in enumerate(services)}
        self.output = folder / "up.log"
        self._command = [
            *(str(PILOTLIGHT), "up", "-f", str(self.manifest), "--port", str(first + 1)),
            *("--api", f"127.0.0.1:{first}", *flags),
        ]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "TMPDIR": str(self.folder)},
                start_new_session=True,
            )

    def restart(self) -> None:
        """Start it again after it has ended."""
        assert self.process.poll() is not None
        self.process = self._start()
        self.wait_until_serving()

    def wait_until_serving(self) -> None:
        wait_for(f"the API of {' '.join(self._command)}", lambda: self._alive() and self.get("/healthz") is not None)
        wait_for("every service in the API", lambda: len(self.services()) == len(self.ports))

    def _alive(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"pilotlight up ended with {self.process.returncode}:\n{self.output.read_text()}")
        return True

    def get(self, path: str) -> object | None:
        """What the API says, None while it does not answer."""
        try:
            with urllib.request.urlopen(self.api + path, timeout=5) as answer:
                body = answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None
        try:
            return json.loads(body)  # type: ignore[no-any-return]
        except ValueError:
            return bytes(body)

    def services(self) -> list[dict[str, object]]:
        body = self.get("/services")
        return body["services"] if isinstance(body, dict) else []

    def service(self, name: str) -> dict[str, object]:
        found = [entry for entry in self.services() if entry["service"] == name]
        return found[0] if found else {}

    def processes(self, *fragments: str) -> list[int]:
        """Process ids of this run (its own excepted) whose command line contains all of `fragments`."""
        return [pid for pid, command in self._descendants() if all(fragment in command for fragment in fragments)]

    def _descendants(self) -> Iterator[tuple[int, str]]:
        marker = f"TMPDIR={self.folder}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            with contextlib.suppress(OSError):
                if marker in (entry / "environ").read_bytes().split(b"\0") and _state(entry) not in "ZX":
                    yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()

    def stop(self, number: signal.Signals = signal.SIGINT, within: float = 60.0) -> int:
        """Ask it to end, and wait until it has; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(within)


def alive(pid: int) -> bool:
    """Whether anything of the process runs; one that only waits to be reaped does not.

    Its first thread may be a zombie while another still holds its sockets open.
    """
    try:
        return any(_state(thread) not in "ZX" for thread in (Path("/proc") / str(pid) / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _state(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]


def _name(service: Mapping[str, object]) -> str:
    metadata = service["metadata"]
    assert isinstance(metadata, Mapping)
    return f"{metadata.get('namespace', 'default')}/{metadata['name']}"


def pilotlight(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the product to its end."""
    return subprocess.run([str(PILOTLIGHT), *arguments], capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def running_up(folder: Path, documents: Sequence[Mapping[str, object]], *flags: str) -> Iterator[Up]:
    """`pilotlight up` on these documents, until the block ends; then nothing of it may be left running."""
    up = Up(folder, documents, *flags)
    try:
        up.wait_until_serving()
        yield up
        assert up.stop() == 0, up.output.read_text()[-4000:]
        wait_for("every process of the run to be gone", lambda: not up.processes(), within=60)
    finally:
        up.stop(signal.SIGKILL)
        for pid in up.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
