"""The webhook's HTTP side: reviews in, answers out, nothing kept in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from admission.review import Request, ReviewError, Verdict, answer, read_review
from admission.webhooks import Surroundings, concerns, mutate, needs_runtimes, validate

_log = logging.getLogger(__name__)

MOST_BYTES = 8 * 1024 * 1024
"""An object and the one before it: the API server takes 3 MiB for one request."""
_BODY_SECONDS = 10.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Cluster(Protocol):
    """What reviews need to know of the cluster; `admission.cluster.WebhookCluster` is one."""

    async def surroundings(self, namespace: str, *, runtimes: bool) -> Surroundings:
        """Runtimes and profiles for an object in `namespace`."""


def webhook_application(cluster: Cluster, image: str, ready: Callable[[], bool]) -> web.Application:
    """Serves /mutate and /validate; /healthz and /readyz for kubelet."""

    async def mutating(request: Request) -> Verdict:
        if not concerns(request):
            return mutate(request, image, Surroundings())
        around = await cluster.surroundings(_namespace(request), runtimes=needs_runtimes(request))
        return mutate(request, image, around)

    async def validating(request: Request) -> Verdict:
        if not concerns(request):
            return Verdict()
        return validate(request, await cluster.surroundings(_namespace(request), runtimes=False))

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if ready() else web.Response(status=503, text="no certificate yet\n")

    application = web.Application(client_max_size=MOST_BYTES)
    application.add_routes(
        [
            web.post("/mutate", _reviewed(mutating)),
            web.post("/validate", _reviewed(validating)),
            web.get("/healthz", healthy),
            web.get("/readyz", readiness),
        ]
    )
    return application


def _reviewed(decide: Callable[[Request], Awaitable[Verdict]]) -> Handler:
    async def handle(http: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                data = await http.read()
            request = read_review(data)
        except TimeoutError:
            return web.Response(status=408, text="the review did not come\n")
        except ReviewError as error:
            return web.Response(status=400, text=f"{error}\n")
        try:
            verdict = await decide(request)
        except Exception as error:
            # Whatever it is, it must not keep anybody from applying an object.
            _log.exception("a review could not be decided")
            verdict = Verdict(warnings=(f"pilotlight: not looked at: {type(error).__name__}",))
        return web.Response(body=answer(request.uid, verdict), content_type="application/json")

    return handle


def _namespace(request: Request) -> str:
    metadata = request.body.get("metadata")
    name = metadata.get("namespace") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and name.replace("-", "").isalnum() else "default"
