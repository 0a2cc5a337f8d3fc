"""Knative's own queue-proxy: built once from its published module, and started as its pod would start it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.dataplane.processes import SetupError, tool

VERSION = "v0.48.0"
_MODULE = Path(__file__).parent
_COMMAND = "knative.dev/serving/cmd/queue"


def binary() -> Path:
    """The built program, from a cache outside the repository whose key is what go.sum pins. Raises SetupError."""
    given = os.environ.get("XDG_CACHE_HOME")
    cache = Path(given) if given else Path.home() / ".cache"
    pinned = hashlib.sha256((_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    target = cache / "pilotlight-benchmarks" / pinned / "queue"
    if not target.exists():
        _build(target)
    return target


def _build(target: Path) -> None:
    sys.stderr.write(f"building Knative's queue-proxy {VERSION}, once; this takes a minute or two\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    command = [tool("go"), "build", "-trimpath", "-ldflags=-s -w", "-o", str(unfinished), _COMMAND]
    built = subprocess.run(
        command,
        cwd=_MODULE,
        env={**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode != 0:
        raise SetupError(f"go build of {_COMMAND} failed:\n{built.stderr[-2000:]}")
    unfinished.rename(target)


def environment(port: int, tls_port: int, upstream: int, limit: int) -> dict[str, str]:
    """The settings that it requires, and the same time-outs as our own; everything else as Knative ships it.

    Ports 8022 and 9090 are fixed in it.
    """
    return {
        "CONTAINER_CONCURRENCY": str(limit),
        "QUEUE_SERVING_PORT": str(port),
        "QUEUE_SERVING_TLS_PORT": str(tls_port),
        "USER_PORT": str(upstream),
        "REVISION_TIMEOUT_SECONDS": "300",
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS": "300",
        "REVISION_IDLE_TIMEOUT_SECONDS": "300",
        "SERVING_LOGGING_CONFIG": "",
        "SERVING_LOGGING_LEVEL": "error",
        "SERVING_NAMESPACE": "default",
        "SERVING_CONFIGURATION": "benchmark",
        "SERVING_REVISION": "benchmark-00001",
        "SERVING_POD": "benchmark-00001-deployment-0",
        "SERVING_POD_IP": "127.0.0.1",
        "GOMAXPROCS": "1",
    }
