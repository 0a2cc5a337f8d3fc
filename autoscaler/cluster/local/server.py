"""The agent's API: HTTP on a unix socket that only this user can open.

GET  /watch                            all services at once, then again after every change: one JSON line each
GET  /gpus                             what the devices of each replica do (see `gpu_use`)
PUT  /services/{ns}/{name}/scale       {"replicas": 3, "go_first": ["chat-predictor-x7k2p"]}
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from aiohttp import web

from autoscaler.cluster.interface import ClusterError, ServiceView
from autoscaler.cluster.local.view_codec import views_to_json

Watch = Callable[[], AsyncIterator[tuple[ServiceView, ...]]]
Scale = Callable[[str, int, Sequence[str]], None]
Gpus = Callable[[], Awaitable[dict[str, object]]]


class AgentServer:
    """Serves `watch` and `scale` on the socket at `path`."""

    def __init__(self, path: Path, watch: Watch, scale: Scale, gpus: Gpus | None = None) -> None:
        self._path = path
        self._watch = watch
        self._scale = scale
        self._gpus = gpus
        self._watchers: set[asyncio.Task[None]] = set()
        app = web.Application()
        app.router.add_get("/watch", self._handle_watch)
        app.router.add_get("/gpus", self._handle_gpus)
        app.router.add_put("/services/{namespace}/{name}/scale", self._handle_scale)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Listen. The socket's folder is the user's alone; the socket is too."""
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._path)).start()
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """End all watches and close."""
        for watcher in list(self._watchers):
            watcher.cancel()
        if self._watchers:
            await asyncio.wait(self._watchers)
        await self._runner.cleanup()

    async def _handle_watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        watcher = asyncio.create_task(self._stream(response))
        self._watchers.add(watcher)
        try:
            await asyncio.wait({watcher})
        finally:
            watcher.cancel()
            self._watchers.discard(watcher)
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        try:
            async for views in self._watch():
                await response.write(json.dumps(views_to_json(views), separators=(",", ":")).encode() + b"\n")
        except ConnectionError:
            pass  # the controller left; it comes back by itself

    async def _handle_gpus(self, request: web.Request) -> web.Response:
        return web.json_response({"none": "nobody asks for GPUs here"} if self._gpus is None else await self._gpus())

    async def _handle_scale(self, request: web.Request) -> web.Response:
        service = f"{request.match_info['namespace']}/{request.match_info['name']}"
        try:
            replicas, go_first = _order(await request.json())
            self._scale(service, replicas, go_first)
        except (ValueError, ClusterError) as error:
            status = 404 if isinstance(error, ClusterError) else 400
            return web.json_response({"error": str(error)}, status=status)
        return web.json_response({"service": service, "wanted": replicas})


def _order(body: object) -> tuple[int, tuple[str, ...]]:
    if not isinstance(body, dict):
        raise ValueError('the body must be {"replicas": n, "go_first": [names]}')
    replicas, go_first = body.get("replicas"), body.get("go_first", [])
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
        raise ValueError(f"replicas must be a whole number that is not negative, not {replicas!r:.40}")
    if not isinstance(go_first, list) or not all(isinstance(name, str) for name in go_first):
        raise ValueError("go_first must be a list of replica names")
    return replicas, tuple(go_first)
