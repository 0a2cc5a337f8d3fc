"""The measuring itself: for each round, each load and each proxy in turn, start the proxy anew, warm it up, load it.

Interleaved (A B C, A B C, and not A A, B B, C C), so that what the machine does besides strikes all of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dataplane import accounts, configurations, wrk
from benchmarks.dataplane.loads import LARGE_BYTES, RATE_PER_SECOND, SHAPES, Load, Origin, Shape
from benchmarks.dataplane.processes import cores, free_port, running, said_by, until_served
from benchmarks.dataplane.proxies import GRPC, LIMITING, Place, Proxy, nginx, start
from benchmarks.dataplane.readings import Reading

_WARM_UP_SECONDS = 1
_SETTLE_SECONDS = 0.2
_QUIET = 0.05
_MORE_TRIES = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure; `seconds` is the length of a window."""

    rounds: int
    seconds: int
    loads: tuple[Load, ...]
    proxies: tuple[Proxy, ...]


def applies(load: Load, proxy: Proxy) -> bool:
    """Whether this pair says anything: overload needs a limit, and no proxy has no CPU of its own."""
    if proxy is Proxy.DIRECT:
        return SHAPES[load].direct_connections is not None
    if SHAPES[load].calls is not None:
        return proxy in GRPC
    return proxy in LIMITING or load not in (Load.OVERLOAD, Load.LINE)


def run(plan: Plan, first_round: int, note: Callable[[Reading], None]) -> None:
    """Measure all of it; `note` gets each reading at once. Raises SetupError."""
    proxy_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="dataplane-") as name, origins(load_core, Path(name)) as ports:
        for number in range(first_round, first_round + plan.rounds):
            for load in plan.loads:
                for proxy in plan.proxies:
                    if applies(load, proxy):
                        note(_quietest(number, load, proxy, plan.seconds, ports, (proxy_core, load_core)))


@contextlib.contextmanager
def origins(core: int, folder: Path) -> Iterator[dict[Origin, int]]:
    """Both upstreams, on the load's core; yields their ports."""
    static, model = free_port(), free_port()
    log = folder / "model.log"
    large = folder / "10m"
    large.write_bytes(os.urandom(LARGE_BYTES))
    command = (sys.executable, "-m", "benchmarks.dataplane.model", str(model))
    with nginx(core, folder, configurations.nginx_upstream(folder, static)), running(core, command, log):
        until_served(static, "/json", folder / "log")
        until_served(model, "/json", log)
        yield {Origin.NGINX: static, Origin.MODEL: model}


def _quietest(
    number: int, load: Load, proxy: Proxy, seconds: int, ports: dict[Origin, int], on: tuple[int, int]
) -> Reading:
    """CPU is counted by process; but where the clock is read, somebody else on the proxy's core spoils the window, and
    it is taken again. Which window counts is decided by how quiet it was, never by what came out."""
    reading = _measure(number, load, proxy, seconds, ports, on)
    for _ in range(_MORE_TRIES if SHAPES[load].direct_connections is not None else 0):
        if reading.foreign <= _QUIET:
            break
        reading = min(reading, _measure(number, load, proxy, seconds, ports, on), key=lambda one: one.foreign)
    return reading


def _measure(
    number: int, load: Load, proxy: Proxy, seconds: int, ports: dict[Origin, int], on: tuple[int, int]
) -> Reading:
    """One proxy under one load, from its start to its end."""
    shape = SHAPES[load]
    proxy_core, load_core = on
    with tempfile.TemporaryDirectory(prefix="proxy-") as name:
        folder = Path(name)
        place = Place(proxy_core, ports[shape.origin], shape.limit, folder)
        with start(proxy, place) as started:
            until_served(started.port, "/json", place.log)
            fresh = accounts.resident_mib(started.pids)
            connections = shape.connections
            if proxy is Proxy.DIRECT and shape.direct_connections is not None:
                connections = shape.direct_connections
            generate = _generator(shape, load_core, started.port, connections, folder)
            generate(_WARM_UP_SECONDS)
            time.sleep(_SETTLE_SECONDS)
            machine, before, began = accounts.host(proxy_core), accounts.cpu_of(started.pids), time.monotonic()
            loaded = generate(max(seconds, shape.seconds))
            used = accounts.cpu_of(started.pids).since(before)
            now, took = accounts.host(proxy_core), time.monotonic() - began
            foreign = max(0.0, now.busy - machine.busy - used.run) / took
            stolen = now.stolen_share_since(machine)
            return Reading.of(
                number,
                load,
                proxy,
                loaded,
                used,
                foreign,
                stolen,
                os.getloadavg()[0],
                fresh,
                accounts.resident_mib(started.pids),
            )


def _generator(shape: Shape, core: int, port: int, connections: int, folder: Path) -> Callable[[int], wrk.Loaded]:
    if shape.calls is not None:
        calls = (str(port), str(connections), str(shape.calls.at_once), str(shape.calls.messages))
        return lambda seconds: _ours_says(core, "grpc_load", (*calls, str(seconds)), seconds)
    if shape.script is None:
        arguments = (str(port), shape.path, str(RATE_PER_SECOND))
        return lambda seconds: _ours_says(core, "open_loop", (*arguments, str(seconds), str(connections)), seconds)
    lua = wrk.script(shape.script, folder)
    return lambda seconds: wrk.load(core, port, shape.path, connections, seconds, lua)


def _ours_says(core: int, module: str, arguments: tuple[str, ...], seconds: int) -> wrk.Loaded:
    """Run one of our own generators. Raises SetupError when it fails."""
    command = (sys.executable, "-m", f"benchmarks.dataplane.{module}", *arguments)
    return wrk.parse(said_by(core, command, seconds))
