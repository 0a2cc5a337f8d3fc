"""What a controller serves on its two sockets, whether it leads or stands by.

Whoever leads has a Controller, made for this term and thrown away after it, so that nothing of an earlier
term (who has been heard, which table was sent) can be taken for news. Who stands by tells who leads: an activator that
dials here goes on dialling, and a person who asks is told whom to ask.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

from aiohttp import web

from autoscaler.cluster.interface import NotAuthenticatedError
from autoscaler.controller.leadership import Authenticator, Leadership, ReplicaDoor
from autoscaler.controller.limited_warnings import LimitedWarnings
from autoscaler.controller.loop import Controller
from autoscaler.controller.metrics import OF_LEADERSHIP, Sample, metrics_page
from autoscaler.controller.service.control import ServiceControl

_log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 0.5


class ControllerInstance:
    """Knowledge for the API, and the application of the control socket."""

    def __init__(
        self,
        make_controller: Callable[[], Controller],
        leadership: Leadership,
        announce: Callable[[], Awaitable[None]],
        authenticator: Authenticator | None,
        replica_door: ReplicaDoor | None = None,
    ) -> None:
        self._make_controller = make_controller
        self._leadership = leadership
        self._announce = announce
        self._authenticator = authenticator
        self._replica_door = replica_door
        self._controller: Controller | None = None
        self._terms = 0
        self._refused = 0
        self._activator_warnings = LimitedWarnings(_log, time.monotonic)
        self._replica_warnings = LimitedWarnings(_log, time.monotonic)
        self._addresses = {"news": 0, "known": 0, "unknown": 0, "refused": 0}
        self.synced = False

    async def lead(self) -> None:
        """One term: until cancelled, or until the cluster is closed."""
        controller = self._controller = self._make_controller()
        self._terms += 1
        announcing = asyncio.ensure_future(self._announce())
        try:
            await controller.run()
        finally:
            self._controller = None
            announcing.cancel()
            # They are to dial who leads now, and until then to keep what they have. One that does not answer does not
            # hold up the lease, which is given up after this.
            closing = asyncio.wait_for(controller.connections.close(), _FAREWELL_SECONDS)
            await asyncio.gather(announcing, closing, return_exceptions=True)

    # For activators

    def application(self) -> web.Application:
        """The aiohttp application of the control socket."""
        application = web.Application()
        application.router.add_get("/activators/{name}", self._serve_activator)
        if self._replica_door is not None:
            take = functools.partial(self._take_address, self._replica_door)
            application.router.add_put("/replicas/{namespace}/{pod}/{address}", take)
        return application

    async def _serve_activator(self, request: web.Request) -> web.StreamResponse:
        if self.standing_by:
            return self._ask_the_leader()
        if self._authenticator is not None:
            name = request.match_info["name"]
            try:
                await self._authenticator.authenticate(request.headers.get("Authorization", ""), name)
            except NotAuthenticatedError as error:
                self._refused += 1
                self._activator_warnings.warn("activator %.80r from %s: %s", name, request.remote, error)
                headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
                return web.json_response({"error": str(error)}, status=error.status, headers=headers)
        controller = self._controller
        if controller is None:  # the lead was lost while we asked who that is
            return self._ask_the_leader()
        return await controller.connections.serve(request)

    async def _take_address(self, door: ReplicaDoor, request: web.Request) -> web.Response:
        """A queue proxy says where its pod is."""
        if self.standing_by:
            return self._ask_the_leader()
        named, peer = request.match_info, request.remote or ""
        try:
            news = await door.take(
                request.headers.get("Authorization", ""), named["namespace"], named["pod"], named["address"], peer
            )
        except NotAuthenticatedError as error:
            # Of a pod that is none of ours, or ends, or has not been seen yet, nothing is claimed that could be wrong;
            # nor of one that is ready elsewhere, while kubelet may not have told that it is no longer.
            early = error.status in (web.HTTPNotFound.status_code, web.HTTPConflict.status_code)
            self._addresses["unknown" if early else "refused"] += 1
            if not early:
                self._replica_warnings.warn(
                    "pod %.80r of %.80r from %s: %s", named["pod"], named["namespace"], peer, error
                )
            return web.json_response({"error": str(error)}, status=error.status)
        self._addresses["news" if news else "known"] += 1
        return web.Response(status=204)

    def _ask_the_leader(self) -> web.Response:
        return web.json_response({"error": self.standing_by, "leader": self.leader}, status=503)

    # For the API, see Knowledge

    @property
    def standing_by(self) -> str:
        """Why there is nothing to show here; empty when we lead."""
        if self._controller is not None:
            return ""
        leader = self._leadership.leader
        return f"this controller stands by; {leader or 'as far as it knows nobody'} leads"

    @property
    def leader(self) -> str:
        """Who leads."""
        return self._leadership.leader

    @property
    def services(self) -> Mapping[str, ServiceControl]:
        """See Knowledge."""
        return {} if self._controller is None else self._controller.services

    @property
    def activators(self) -> tuple[str, ...]:
        """See Knowledge."""
        return () if self._controller is None else self._controller.activators

    @property
    def seen_cluster(self) -> bool:
        """See Knowledge."""
        return self._controller is not None and self._controller.seen_cluster

    @property
    def cluster_trouble(self) -> tuple[str, ...]:
        """See Knowledge."""
        return () if self._controller is None else self._controller.cluster_trouble

    @property
    def recording(self) -> str | None:
        """See Knowledge."""
        return None if self._controller is None else self._controller.recording

    async def metrics_text(self) -> bytes:
        """See Knowledge."""
        own = metrics_page(OF_LEADERSHIP, self._samples)
        return own if self._controller is None else own + await self._controller.metrics_text()

    def _samples(self) -> Iterator[Sample]:
        yield "pilotlight_leader", (), self._controller is not None
        yield "pilotlight_leader_terms", (), self._terms
        yield "pilotlight_activators_refused", (), self._refused
        for outcome, count in self._addresses.items():
            yield "pilotlight_told_addresses", (outcome,), count
