"""A server on loopback that lists, pages and watches one collection as an API server does, and can be made to fail.

Versions count writes. A watch may begin at any version that is not compacted. `faults` are taken one by one by the
requests that they are for; whatever has no fault is answered as it should be.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from autoscaler.cluster.kubernetes.connection import Connection

PATH = "/apis/example.com/v1/things"
JsonObject = dict[str, object]


class Fault(Enum):
    """What may go wrong with one request."""

    GONE = "410"
    GONE_EVENT = "an ERROR event with 410"
    ERROR_EVENT = "an ERROR event with 500"
    BUSY = "429 with Retry-After"
    BROKEN = "500"
    UNAVAILABLE = "503"
    UNAUTHORIZED = "401"
    MALFORMED = "what is not JSON"
    HALF_A_LINE = "half an event, then the end"
    EMPTY = "an end at once"
    SILENT = "no answer at all"
    ABSENT = "404"


@dataclass(slots=True)
class _Written:
    version: int
    kind: str
    item: JsonObject


@dataclass
class StandInApiServer:
    """See the module. `lists` and `watches` count what was asked; `since` has the version of each watch,
    `selected` the fields that were asked for."""

    items: dict[str, JsonObject] = field(default_factory=dict)
    version: int = 1
    compacted: int = 0
    retry_after: str = "1"
    list_faults: deque[Fault] = field(default_factory=deque)
    watch_faults: deque[Fault] = field(default_factory=deque)
    lists: int = 0
    watches: int = 0
    since: list[int] = field(default_factory=list)
    selected: set[str] = field(default_factory=set)
    limits: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    _log: list[_Written] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _cuts: int = 0

    def put(self, name: str, value: int = 0, **more: object) -> None:
        kind = "MODIFIED" if name in self.items else "ADDED"
        self.version += 1
        metadata = {"namespace": "default", "name": name, "resourceVersion": str(self.version)}
        self.items[name] = {"metadata": metadata, "value": value, **more}
        self._write(kind, self.items[name])

    def delete(self, name: str) -> None:
        if name in self.items:
            self.version += 1
            gone = self.items.pop(name)
            metadata = {"namespace": "default", "name": name, "resourceVersion": str(self.version)}
            self._write("DELETED", {**gone, "metadata": metadata})

    def bookmark(self) -> None:
        """Versions also grow by what is not in this collection."""
        self.version += 1
        self._write("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def compact(self) -> None:
        """Forget what happened up to now."""
        self.compacted = self.version

    def cut(self) -> None:
        """End all watches."""
        self._cuts += 1
        self._wake()

    @property
    def values(self) -> dict[str, object]:
        return {f"default/{name}": item["value"] for name, item in self.items.items()}

    def _write(self, kind: str, item: JsonObject) -> None:
        self._log.append(_Written(self.version, kind, item))
        self._wake()

    def _wake(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.selected.add(request.query.get("fieldSelector", ""))
        if request.query.get("watch") == "1":
            self.watches += 1
            self.since.append(int(request.query["resourceVersion"]))
            fault = self.watch_faults.popleft() if self.watch_faults else None
            refused = _refusal(fault, self.retry_after)
            return refused if refused is not None else await self._watch(request, fault)
        self.lists += 1
        self.limits.append(request.query.get("limit", ""))
        fault = self.list_faults.popleft() if self.list_faults else None
        refused = _refusal(fault, self.retry_after)
        return refused if refused is not None else self._list(request, fault)

    def _list(self, request: web.Request, fault: Fault | None) -> web.Response:
        if fault is Fault.MALFORMED:
            return web.Response(text='{"items": [', content_type="application/json")
        names = sorted(self.items)
        start, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        rest = str(start + limit) if start + limit < len(names) else ""
        body = {
            "metadata": {"resourceVersion": str(self.version), "continue": rest},
            "items": [self.items[name] for name in names[start : start + limit]],
        }
        return web.json_response(body)

    async def _watch(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if fault is Fault.SILENT:
            await self._changed.wait()
        response = web.StreamResponse()
        await response.prepare(request)
        version, cuts = int(request.query["resourceVersion"]), self._cuts
        if version < self.compacted or fault is Fault.GONE_EVENT:
            await _send(response, {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})
            return response
        if fault is Fault.ERROR_EVENT:
            await _send(response, {"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}})
            return response
        if fault is Fault.MALFORMED:
            await response.write(b"}{\n")
            return response
        if fault is Fault.EMPTY:
            return response
        while cuts == self._cuts:
            changed = self._changed
            for written in [entry for entry in self._log if entry.version > version]:
                event = {"type": written.kind, "object": written.item}
                if fault is Fault.HALF_A_LINE:
                    await response.write(json.dumps(event).encode()[:20])
                    return response
                await _send(response, event)
                version = written.version
            await changed.wait()
        return response


async def _send(response: web.StreamResponse, event: Mapping[str, object]) -> None:
    await response.write(json.dumps(event).encode() + b"\n")


def _refusal(fault: Fault | None, retry_after: str) -> web.Response | None:
    match fault:
        case Fault.GONE:
            return web.json_response({"kind": "Status", "reason": "Expired", "message": "too old"}, status=410)
        case Fault.BUSY:
            return web.json_response({"reason": "TooManyRequests"}, status=429, headers={"Retry-After": retry_after})
        case Fault.BROKEN:
            return web.json_response({"message": "etcdserver: leader changed"}, status=500)
        case Fault.UNAVAILABLE:
            return web.Response(text="starting", status=503)
        case Fault.UNAUTHORIZED:
            return web.json_response({"reason": "Unauthorized"}, status=401)
        case Fault.ABSENT:
            return web.Response(text="404 page not found", status=404)
    return None


@asynccontextmanager
async def serving(server: StandInApiServer, path: str = PATH) -> AsyncIterator[Connection]:
    """Serve it on loopback; gives a connection whose tokens are `token-1`, `token-2`, … with each loading."""
    application = web.Application()
    application.router.add_get(path, server.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    loads = 0

    async def load() -> Configuration:
        nonlocal loads
        loads += 1
        return Configuration(host=f"http://127.0.0.1:{port}", api_key={"BearerToken": f"Bearer token-{loads}"})

    connection = Connection(load)
    try:
        yield connection
    finally:
        await connection.close()
        server.cut()
        await runner.cleanup()
