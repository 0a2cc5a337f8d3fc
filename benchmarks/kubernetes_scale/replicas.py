"""Queue proxies by the thousand, in one process: each fake pod's address answers `/stats` as its own would.

    python -m benchmarks.kubernetes_scale.replicas PODS.json

PODS.json maps addresses to names of pods. Every replica works on one request all the time and ends five a second, so
that there is something to decide on, and a steady state to stay in.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import uvloop

from queue_proxy.messages import SecondStats, Stats

ADMIN_PORT = 8022
_UP_BEFORE = 600.0  # seconds: a controller that starts finds replicas with a past
_ASKED = re.compile(rb"[?]seconds=([0-9]{1,4}) ")


class _Replica(asyncio.Protocol):
    """One connection of whoever reads the numbers."""

    def __init__(self, names: Mapping[str, str], began: float) -> None:
        self._names = names
        self._began = began
        self._transport: asyncio.Transport | None = None
        self._name = ""
        self._kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's derives from nothing
        self._name = self._names.get(transport.get_extra_info("sockname")[0], "nobody")

    def data_received(self, data: bytes) -> None:
        self._kept += data
        while b"\r\n\r\n" in self._kept and self._transport is not None:
            head, _, self._kept = self._kept.partition(b"\r\n\r\n")
            asked = _ASKED.search(head)
            seconds = int(asked[1]) if asked else 0
            at = time.monotonic() - self._began
            body = json.dumps(stats(self._name, at, seconds).to_json(), separators=(",", ":")).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            )


def stats(source: str, at: float, seconds: int = 0) -> Stats:
    """What a replica says that has been working on one request for `at` seconds."""
    told = min(seconds, int(at))
    history = tuple(SecondStats(float(told - row), 1.0, 0.0, 5) for row in range(told))
    ended = int(5 * at)
    return Stats(
        source, "epoch", at, busy_seconds=at, arrived=ended + 1, completed=ended, service_seconds=at, running=1,
        ready_at=0.0, first_request_at=0.0, seconds=history,
    )  # fmt: skip


async def _serve(names: Mapping[str, str]) -> None:
    began = time.monotonic() - _UP_BEFORE
    server = await asyncio.get_running_loop().create_server(
        lambda: _Replica(names, began), "0.0.0.0", ADMIN_PORT, backlog=4096
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(json.loads(Path(sys.argv[1]).read_text())))
