"""The proxies that are compared, each started as its own documentation would have it, on one core."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.dataplane import configurations, knative
from benchmarks.dataplane.processes import free_port, running, tool


class Proxy(Enum):
    """What stands between load and upstream; the value is its name on the command line."""

    DIRECT = "direct"
    OURS = "queue-proxy"
    CHAIN = "activator+queue-proxy"
    KNATIVE = "knative"
    NGINX = "nginx"
    HAPROXY = "haproxy"
    AIOHTTP = "aiohttp"


TITLES = {
    Proxy.DIRECT: "no proxy",
    Proxy.OURS: "**Pilotlight queue proxy**",
    Proxy.CHAIN: "**Pilotlight activator + queue proxy**",
    Proxy.KNATIVE: f"Knative queue-proxy {knative.VERSION}",
    Proxy.NGINX: "nginx (no limit)",
    Proxy.HAPROXY: "haproxy",
    Proxy.AIOHTTP: "aiohttp, both sides (no limit)",
}

LIMITING = frozenset({Proxy.OURS, Proxy.CHAIN, Proxy.KNATIVE, Proxy.HAPROXY})
GRPC = frozenset({Proxy.OURS, Proxy.CHAIN, Proxy.KNATIVE})
"""Those that are measured with gRPC, too; the others would need another configuration for it."""
"""Those that have waiting requests stand in line, and so can be loaded beyond the limit."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where it listens, and the processes whose CPU and memory are its own."""

    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy runs: its core, its upstream's port, its limit, and a folder for its files and its log."""

    core: int
    upstream: int
    limit: int
    folder: Path

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.folder / "log"


@contextlib.contextmanager
def start(proxy: Proxy, place: Place) -> Iterator[Started]:
    """Start it anew; killed afterwards. The caller waits until it serves. Raises SetupError."""
    if proxy is Proxy.DIRECT:
        yield Started(place.upstream, ())
        return
    with _STARTERS[proxy](place) as started:
        yield started


@contextlib.contextmanager
def _ours(place: Place) -> Iterator[Started]:
    with _queue_proxy(place) as (port, _, pid):
        yield Started(port, (pid,))


@contextlib.contextmanager
def _chain(place: Place) -> Iterator[Started]:
    port, path, service = free_port(), place.folder / "control.sock", "default/example"
    with _queue_proxy(place) as (behind, admin, queue_proxy):
        routes = ("-m", "benchmarks.dataplane.control", str(path), service, str(behind), str(admin), str(place.limit))
        activator = ("-m", "activator", "--name", "a", "--control", f"unix:{path}")
        listen = ("--listen", f"{service}=127.0.0.1:{port}")
        with (
            running(place.core, (sys.executable, *routes), place.log),
            running(place.core, (sys.executable, *activator, *listen), place.log) as pid,
        ):
            yield Started(port, (pid, queue_proxy))


@contextlib.contextmanager
def _queue_proxy(place: Place) -> Iterator[tuple[int, int, int]]:
    """(port, admin port, process id), with every time-out on: none may be free of charge only because it is off."""
    port, admin = free_port(), free_port()
    where = ("--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}")
    # Of a model that speaks HTTP/2: what comes as HTTP/1 is sent as HTTP/1 all the same.
    upstream = ("--upstream", f"127.0.0.1:{place.upstream}", "--upstream-protocol", "h2c", "--limit", str(place.limit))
    timeouts = ("--timeout", "300", "--response-start-timeout", "300", "--idle-timeout", "300")
    command = (sys.executable, "-m", "queue_proxy", "--name", "replica-0", *where, *upstream, *timeouts)
    with running(place.core, command, place.log) as pid:
        yield port, admin, pid


@contextlib.contextmanager
def _knative(place: Place) -> Iterator[Started]:
    port = free_port()
    env = knative.environment(port, free_port(), place.upstream, place.limit)
    with running(place.core, (str(knative.binary()),), place.log, env) as pid:
        yield Started(port, (pid,))


@contextlib.contextmanager
def _nginx(place: Place) -> Iterator[Started]:
    port = free_port()
    with nginx(place.core, place.folder, configurations.nginx_proxy(place.folder, port, place.upstream)) as pid:
        yield Started(port, (pid,))


@contextlib.contextmanager
def nginx(core: int, folder: Path, configuration: str) -> Iterator[int]:
    """One nginx process with this configuration; yields its process id."""
    file = folder / "nginx.conf"
    file.write_text(configuration)
    command = (tool("nginx"), "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log"))
    with running(core, command, folder / "log") as pid:
        yield pid


@contextlib.contextmanager
def _haproxy(place: Place) -> Iterator[Started]:
    port = free_port()
    file = place.folder / "haproxy.cfg"
    file.write_text(configurations.haproxy(port, place.upstream, place.limit))
    with running(place.core, (tool("haproxy"), "-db", "-q", "-f", str(file)), place.log) as pid:
        yield Started(port, (pid,))


@contextlib.contextmanager
def _aiohttp(place: Place) -> Iterator[Started]:
    port = free_port()
    program = (sys.executable, "-m", "benchmarks.dataplane.plain_aiohttp", str(port), str(place.upstream))
    with running(place.core, program, place.log) as pid:
        yield Started(port, (pid,))


_STARTERS: dict[Proxy, Callable[[Place], contextlib.AbstractContextManager[Started]]] = {
    Proxy.OURS: _ours,
    Proxy.CHAIN: _chain,
    Proxy.KNATIVE: _knative,
    Proxy.NGINX: _nginx,
    Proxy.HAPROXY: _haproxy,
    Proxy.AIOHTTP: _aiohttp,
}
