"""A plain reverse proxy, the way one writes it with aiohttp on both sides: what we would be without an engine.

    python -m benchmarks.dataplane.plain_aiohttp PORT UPSTREAM_PORT [--asyncio]

On uvloop, as we are; with `--asyncio` on asyncio's own loop, as one starts it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

import aiohttp
import uvloop
from aiohttp import web

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"})


def _end_to_end(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP]


async def serve(port: int, upstream: int) -> None:
    """Until killed."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = request.content if request.body_exists else None
            url = f"http://127.0.0.1:{upstream}{request.path_qs}"
            headers = _end_to_end(request.headers)
            if request.content_length is not None and body is not None:
                headers.append(("Content-Length", str(request.content_length)))
            async with session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in _end_to_end(answer.headers):
                    response.headers.add(name, value)
                response.content_length = answer.content_length
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await response.write(part)
                await response.write_eof()
                return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    run = asyncio.run if "--asyncio" in sys.argv[3:] else uvloop.run
    run(serve(int(sys.argv[1]), int(sys.argv[2])))
