"""The controller's read-only API: what runs, why, and since when.

It can change nothing, and it is meant for the people of the machine. Still a page in somebody's browser could reach
it by a name of its own that resolves to this address (DNS rebinding), so a request must name a host that is meant. An
address is no such name: kubelet, a scrape and the API server's proxy ask for one. Where the API server itself has a
name, its proxy asks for that, and says for which pod it asks, which such a page could not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST

from autoscaler.controller.clock import Clock
from autoscaler.controller.pauses import with_pauses
from autoscaler.controller.recording_page import send_recording
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.service_report import explanation, summary

_LAST_DEFAULT = 10
_LAST_MOST = 1_000
_SERVICES_AT_ONCE = 25


class Knowledge(Protocol):
    """What the API shows: the controller, as far as it may be looked at."""

    @property
    def standing_by(self) -> str:
        """Why there is nothing to show, because another controller leads; empty when this one does."""
        ...

    @property
    def leader(self) -> str:
        """Who of several controllers leads; empty: nobody, or unknown."""
        ...

    @property
    def synced(self) -> bool:
        """It has seen all there is, and could lead."""
        ...

    @property
    def services(self) -> Mapping[str, ServiceControl]:
        """Each service by its name, in order."""
        ...

    @property
    def activators(self) -> tuple[str, ...]:
        """Names of the activators that are connected."""
        ...

    @property
    def seen_cluster(self) -> bool:
        """The cluster has shown its services at least once."""
        ...

    @property
    def cluster_trouble(self) -> tuple[str, ...]:
        """Why what the cluster shows may be old, one sentence for each reason."""
        ...

    @property
    def recording(self) -> str | None:
        """Where a recording is written, or why it is no longer; None when none was asked for."""
        ...

    async def metrics_text(self) -> bytes:
        """The page of `/metrics`."""
        ...


def api_application(
    knowledge: Knowledge,
    clock: Clock,
    host: str,
    hosts: frozenset[str] = frozenset(),
    pod: str = "",
    recorded: Path | None = None,
) -> web.Application:
    """The aiohttp application that serves the API on `host`, under that name and those in `hosts`.

    `pod` is the one that we run in, for which the proxy of the API server asks; empty: none. `recorded` is the file
    that is recorded to.
    """
    handlers = _Handlers(knowledge, clock, recorded)
    allowed = hosts | {host.lower(), "localhost"}
    application = web.Application(middlewares=[_only_for_hosts(allowed, pod), _errors_as_json])
    application.router.add_get("/services", handlers.services)
    application.router.add_get("/explain/{namespace}/{name}", handlers.explain)
    application.router.add_get("/recording", handlers.recording)
    application.router.add_get("/metrics", handlers.metrics)
    application.router.add_get("/healthz", handlers.healthz)
    application.router.add_get("/readyz", handlers.readyz)
    return application


class _Handlers:
    def __init__(self, knowledge: Knowledge, clock: Clock, recorded: Path | None) -> None:
        self._knowledge = knowledge
        self._clock = clock
        self._recorded = recorded

    async def services(self, request: web.Request) -> web.Response:
        if self._knowledge.standing_by:
            return self._ask_the_leader()
        now = self._clock()
        written: list[str] = []
        await with_pauses(self._write_each(now, written), _SERVICES_AT_ONCE)
        rest = _dumps(
            {
                "at": now,
                "activators": list(self._knowledge.activators),
                "recording": self._knowledge.recording,
                "cluster_trouble": list(self._knowledge.cluster_trouble),
            }
        )
        text = "".join(('{"services": [', ", ".join(written), "], ", rest.removeprefix("{")))
        return web.json_response(text=text)

    def _write_each(self, now: float, written: list[str]) -> Iterator[None]:
        for control in self._knowledge.services.values():
            written.append(_dumps(summary(control, now)))
            yield

    async def explain(self, request: web.Request) -> web.Response:
        if self._knowledge.standing_by:
            return self._ask_the_leader()
        name = f"{request.match_info['namespace']}/{request.match_info['name']}"
        last = _last(request.query.get("last"))
        if last is None:
            return _error(400, f"last is a whole number from 0 to {_LAST_MOST}")
        control = self._knowledge.services.get(name)
        if control is None and not self._knowledge.seen_cluster:
            return _error(503, "the cluster has not shown its services yet; ask again in a moment")
        if control is None:
            known = list(self._knowledge.services)
            return _json(404, {"error": f"there is no service {name}", "services": known})
        return _json(200, explanation(control, last, self._clock(), self._knowledge.activators))

    async def recording(self, request: web.Request) -> web.StreamResponse:
        if self._knowledge.standing_by:
            return self._ask_the_leader()
        if self._recorded is None:
            return _error(404, "nothing is recorded here; it takes the controller's flag --record FILE")
        try:
            return await send_recording(request, self._recorded, request.query.get("service", ""))
        except OSError as error:
            return _error(500, f"the recording cannot be read: {error.strerror}")

    async def metrics(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=await self._knowledge.metrics_text(), headers=headers)

    async def healthz(self, request: web.Request) -> web.Response:
        """Alive, leading or not: one that stands by must not be restarted for it."""
        known = self._knowledge
        return _json(
            200,
            {
                "status": "ok",
                "leads": not known.standing_by,
                "leader": known.leader,
                "synced": known.synced,
                "seen_cluster": known.seen_cluster,
            },
        )

    async def readyz(self, request: web.Request) -> web.Response:
        """Able to lead: a rollout that waits for it never ends the last controller that knows the cluster."""
        ready = self._knowledge.synced
        return _json(200 if ready else 503, {"status": "ready" if ready else "has not seen the whole cluster yet"})

    def _ask_the_leader(self) -> web.Response:
        return _json(503, {"error": self._knowledge.standing_by, "leader": self._knowledge.leader})


def _only_for_hosts(allowed: frozenset[str], pod: str) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Everything before the port; an IPv6 address keeps its brackets.
        host = request.headers.get("Host", "").lower()
        bare = host if host.endswith("]") else host.rpartition(":")[0] or host
        if bare not in allowed and not _is_address(bare) and not _is_for_pod(request, pod):
            return _error(421, "this API answers only to the host it was configured for")
        return await handler(request)

    return check


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _error(404, f"there is nothing at {request.path[:200]}; try /services")
    except web.HTTPMethodNotAllowed:
        return _error(405, "this API only reads")


def _last(text: str | None) -> int | None:
    if text is None:
        return _LAST_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        return None
    return int(text) if int(text) <= _LAST_MOST else None


def _is_for_pod(request: web.Request, pod: str) -> bool:
    """Whether the API server's proxy says that it was asked for this pod."""
    path = request.headers.get("X-Forwarded-Uri", "")
    return bool(pod) and f"/pods/{pod}:" in path


def _is_address(host: str) -> bool:
    try:
        return ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host).version in (4, 6)
    except ValueError:
        return False


def _error(status: int, message: str) -> web.Response:
    return _json(status, {"error": message})


def _json(status: int, body: object) -> web.Response:
    return web.json_response(body, status=status, dumps=_dumps)


def _dumps(body: object) -> str:
    # Whatever a recording or another process holds: what is not a number in JSON must not break a reader.
    return json.dumps(body, allow_nan=False)
