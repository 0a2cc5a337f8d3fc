"""Stands where the controller stands: gives an activator its Routes over the real WebSocket, and drops its Stats.

python -m benchmarks.dataplane.control SOCKET_PATH SERVICE PORT ADMIN_PORT LIMIT
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from aiohttp import web

from activator.messages import Endpoint, EndpointState, HoldBounds, Route, Routes, Timeouts

_HOLD = HoldBounds(requests=10_000, bytes=1 << 30, no_endpoint_seconds=300.0, full_seconds=300.0)
_TIMEOUTS = Timeouts(total=300.0, response_start=0.0, idle=0.0)


def table(service: str, port: int, admin_port: int, limit: int) -> str:
    """One ready endpoint, whose capacity is its queue proxy's limit, as the controller would set it."""
    endpoint = Endpoint("replica-0", "127.0.0.1", port, admin_port, EndpointState.READY)
    route = Route(service, 0, (endpoint,), limit, _HOLD, _TIMEOUTS, None)
    return json.dumps(Routes("benchmark", 1, (route,)).to_json())


async def serve(path: str, text: str) -> None:
    """Until killed."""

    async def link(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(compress=False)
        await connection.prepare(request)
        await connection.send_str(text)
        async for _ in connection:
            pass
        return connection

    app = web.Application()
    app.router.add_get("/activators/{name}", link)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, socket_path, name, first, second, third = sys.argv
    uvloop.run(serve(socket_path, table(name, int(first), int(second), int(third))))
