"""The other processes of the data path benchmark: a model that answers at once, and the load.

    python benchmarks/dataplane_parts.py upstream PORT
    python benchmarks/dataplane_parts.py load PORT PID --requests bare|headers --seconds S

`load` prints one JSON object: requests completed in its window, the window's seconds, and the CPU seconds that all
threads of process PID ran in it, by the scheduler's own account.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

BODY = b'{"model_name":"example","outputs":[{"name":"predict","shape":[1,3],"datatype":"FP32","data":[0.1,0.2,0.7]}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nserver: example\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
_WARM_UP_SECONDS = 0.3


class Model(asyncio.Protocol):
    """Answers every head with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        self.transport.write(ANSWER * len(heads))


async def serve_model(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port)
    await server.serve_forever()


def requests_like(kind: str) -> list[bytes]:
    """Request heads: bare, or with 14 headers in the shape an ingress sends, with ids that change."""
    if kind == "bare":
        return [b"GET /v2/models/example HTTP/1.1\r\nHost: example.default\r\n\r\n"]
    return [
        b"GET /v2/models/example HTTP/1.1\r\nHost: example.default.svc.cluster.local\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 "
        b"Safari/537.36\r\n"
        b"Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate, br\r\n"
        b"Accept-Language: en-GB,en;q=0.9\r\nX-Forwarded-For: 10.4.2.%d\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: models.example.com\r\nX-Envoy-Expected-Rq-Timeout-Ms: 15000\r\n"
        b"X-Request-Id: 0f6a1c1e-6b1d-4d0a-9a53-%012d\r\nTraceparent: 00-%032x-%016x-01\r\n"
        b"Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.%044d\r\nCache-Control: no-cache\r\nX-Tenant: research\r\n\r\n"
        % (n % 250, n, n * 7919, n * 104729, n)
        for n in range(997)
    ]


class Load:
    """A closed loop: each connection sends its next request when its answer is whole."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.completed = 0
        self.in_flight = 0
        self.ending = False

    def next(self) -> bytes:
        self.in_flight += 1
        return self.requests[self.completed % len(self.requests)]


class LoadConnection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self.load = load
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        self.rest += data
        if not self.rest.endswith(BODY):
            return
        if not self.rest.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not an answer: {self.rest[:200]!r}")
        self.rest = b""
        self.load.completed += 1
        self.load.in_flight -= 1
        if not self.load.ending:
            self.transport.write(self.load.next())


def cpu_seconds(pid: int) -> float:
    """Run time of all threads of a process, by the scheduler."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


async def run_load(port: int, pid: int, kind: str, seconds: float, connections: int) -> None:
    load = Load(requests_like(kind))
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: LoadConnection(load), "127.0.0.1", port)
    await asyncio.sleep(_WARM_UP_SECONDS)
    began, cpu, completed = time.perf_counter(), cpu_seconds(pid), load.completed
    await asyncio.sleep(seconds)
    result = {
        "requests": load.completed - completed,
        "seconds": time.perf_counter() - began,
        "cpu": cpu_seconds(pid) - cpu,
    }
    load.ending = True
    while load.in_flight:
        await asyncio.sleep(0.01)
    sys.stdout.write(json.dumps(result) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    upstream = parts.add_parser("upstream")
    upstream.add_argument("port", type=int)
    load = parts.add_parser("load")
    load.add_argument("port", type=int)
    load.add_argument("pid", type=int)
    load.add_argument("--requests", choices=["bare", "headers"], default="bare")
    load.add_argument("--seconds", type=float, default=2.0)
    load.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    if options.part == "upstream":
        uvloop.run(serve_model(options.port))
    else:
        uvloop.run(run_load(options.port, options.pid, options.requests, options.seconds, options.connections))


if __name__ == "__main__":
    main()
