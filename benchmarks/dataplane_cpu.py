"""What a proxied request costs: CPU of the queue proxy against a plain aiohttp reverse proxy, in the same run.

    python benchmarks/dataplane_cpu.py [--rounds 10] [--seconds 0.6]

The proxies are real processes pinned to one core, model and load to another. Windows are short and interleaved, so
that what the machine does besides strikes all alike; the table shows medians. CPU is the run time of all threads of
the proxy as the scheduler counts it. Absolute figures depend on the machine, the ratio much less. The aim is set
against aiohttp as one starts it, on asyncio's own loop; aiohttp on uvloop is shown too, because the queue proxy runs
on that. Exits with 1 when the ratio is above the aim.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

AIM = 0.25
_PARTS = str(Path(__file__).with_name("dataplane_parts.py"))
_AIOHTTP = ("-m", "benchmarks.dataplane.plain_aiohttp")
_ROOT = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True)
class Figures:
    """One window of load: CPU microseconds per request, and requests per second."""

    cpu_us: float
    per_second: float


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def process(core: int, port: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core, once it listens on `port`; ended afterwards."""
    child = subprocess.Popen([sys.executable, *command], cwd=_ROOT)
    os.sched_setaffinity(child.pid, {core})
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"did not start: {' '.join(command)}")
            time.sleep(0.05)
        yield child
    finally:
        child.kill()
        child.wait()


def measure(core: int, port: int, pid: int, requests: str, seconds: float) -> Figures:
    """Load on one proxy for one window."""
    command = [sys.executable, _PARTS, "load", str(port), str(pid), "--requests", requests, "--seconds", str(seconds)]
    load = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE)
    os.sched_setaffinity(load.pid, {core})
    output, _ = load.communicate(timeout=seconds + 60)
    if load.returncode != 0:
        raise SystemExit("the load failed")
    result = json.loads(output)
    return Figures(result["cpu"] / result["requests"] * 1e6, result["requests"] / result["seconds"])


OURS, PLAIN, ON_UVLOOP = "queue proxy", "aiohttp", "aiohttp on uvloop"
REQUESTS = {"bare": "bare GET", "headers": "GET with 14 headers"}


def run(rounds: int, seconds: float) -> dict[tuple[str, str], list[Figures]]:
    """Figures of every (requests, proxy), one a round."""
    cores = sorted(os.sched_getaffinity(0))
    proxy_core, load_core = cores[0], cores[-1]
    model, admin = free_port(), free_port()
    ports = {name: free_port() for name in (OURS, PLAIN, ON_UVLOOP)}
    commands = {
        OURS: [
            *("-m", "queue_proxy", "--name", "bench", "--listen", f"127.0.0.1:{ports[OURS]}"),
            *("--admin", f"127.0.0.1:{admin}", "--upstream", f"127.0.0.1:{model}"),
            *("--limit", "100", "--timeout", "300"),
        ],
        PLAIN: [*_AIOHTTP, str(ports[PLAIN]), str(model), "--asyncio"],
        ON_UVLOOP: [*_AIOHTTP, str(ports[ON_UVLOOP]), str(model)],
    }
    figures: dict[tuple[str, str], list[Figures]] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(process(load_core, model, _PARTS, "upstream", str(model)))
        pids = {
            name: stack.enter_context(process(proxy_core, ports[name], *command)).pid
            for name, command in commands.items()
        }
        for _ in range(rounds):
            for requests in REQUESTS:
                for name, pid in pids.items():
                    window = measure(load_core, ports[name], pid, requests, seconds)
                    figures.setdefault((requests, name), []).append(window)
    return figures


def report(figures: dict[tuple[str, str], list[Figures]]) -> bool:
    """Print the table; True when every ratio is within the aim."""
    within = True
    print(f"{'request':<22}{'proxy':<20}{'CPU us/request':>15}{'requests/s':>12}{'ours / this':>13}")
    for requests, title in REQUESTS.items():
        cpu = {
            name: statistics.median(window.cpu_us for window in figures[requests, name])
            for name in (OURS, PLAIN, ON_UVLOOP)
        }
        within = within and cpu[OURS] / cpu[PLAIN] <= AIM
        for name, microseconds in cpu.items():
            rate = statistics.median(window.per_second for window in figures[requests, name])
            ratio = "" if name == OURS else f"{cpu[OURS] / microseconds:.3f}"
            print(f"{title:<22}{name:<20}{microseconds:>15.1f}{rate:>12.0f}{ratio:>13}")
    print(f"aim: at most {AIM:.2f} of {PLAIN}: {'met' if within else 'missed'}")
    return within


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.6, help="length of one window")
    options = parser.parse_args()
    return 0 if report(run(options.rounds, options.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
