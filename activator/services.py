"""The services of one activator: for each a dispatcher, a server, listening sockets, and questions for readiness.

Follows the controller's tables. What a table changes is changed in place, so requests in flight and in the hold go on;
a service that a table leaves out stops accepting and refuses who waits, unless its listening socket was handed to us:
then whoever handed it over knows of the service, and its requests wait within their bounds for a table that has it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activator.budget import Budget
from activator.comments import WaitComments
from activator.dispatch import Dispatcher
from activator.listener import ServiceListener
from activator.messages import Route, Routes
from activator.readiness import Pace, ReadinessWatch
from activator.recorder import Recorder
from activator.slot_link import SlotLink
from activator.surroundings import Surroundings
from activator.tickets import Regime
from queue_proxy.http import HttpLimits, HttpServer, ReadAhead, Timeouts, most_body_bytes
from queue_proxy.http2.server_connection import ServerConnection
from queue_proxy.measurement import HISTORY_SECONDS, Measurement
from queue_proxy.messages import Stats
from queue_proxy.observability import Observability

log = logging.getLogger(__name__)

# A client that is moved over keeps an idle connection for as long: who uses it sooner is told by an answer, and never
# meets a connection that we are just closing. Pools take the connection that has waited longest, so after a burst each
# of hundreds has its turn many seconds later.
_MOVE_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Service:
    """One service and what works for it."""

    dispatcher: Dispatcher
    server: HttpServer
    listener: ServiceListener
    readiness: ReadinessWatch


class ServiceTable:
    """All services of this activator, by name."""

    def __init__(
        self,
        name: str,
        bind: str,
        comment_seconds: float,
        budget: Budget,
        limits: HttpLimits,
        observability: Observability,
        clock: Callable[[], float],
        wake: Callable[[str], None],
    ) -> None:
        self.observability = observability
        self._source = f"activator/{name}"
        self._epoch = secrets.token_hex(8)
        self._bind = bind
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._read_ahead = ReadAhead()
        self._services: dict[str, Service] = {}
        self._leaving: list[Service] = []
        self._followed: dict[str, Route] = {}
        self._draining = False
        self._pace = Pace()
        self._around = Surroundings(
            timers=self._loop,
            clock=clock,
            comments=WaitComments(self._loop, clock, comment_seconds),
            wake=wake,
            unproven=self._ask_for_readiness,
            body_bytes=most_body_bytes(limits),
            budget=budget,
            dial=SlotLink,
        )

    def names(self) -> Sequence[str]:
        """Every service that is known."""
        return list(self._services)

    def items(self) -> Sequence[tuple[str, Service]]:
        """Every service that is known, with its name."""
        return list(self._services.items())

    def stats(self, service: str) -> Stats | None:
        """Its numbers; None when it is not known."""
        known = self._services.get(service)
        return None if known is None else known.dispatcher.stats()

    def stats_with_history(self, service: str) -> Stats | None:
        """Likewise, with as much of the past as a controller can use."""
        known, route = self._services.get(service), self._followed.get(service)
        seconds = HISTORY_SECONDS if route is None else route.history_seconds
        return None if known is None else known.dispatcher.stats(seconds)

    def wakes(self, service: str) -> bool:
        """Whether somebody waits there and no endpoint is ready."""
        known = self._services.get(service)
        return known is not None and known.dispatcher.waits_for is Regime.NO_ENDPOINT and len(known.dispatcher.hold) > 0

    def apply(self, routes: Routes) -> None:
        """Follow a table."""
        listed = {route.service: route for route in routes.routes}
        for name in [name for name in self._services if name not in listed]:
            self._leave_out(name)
        for name, route in listed.items():
            if self._followed.get(name) is route:
                continue
            self._followed[name] = route
            service = self._services.get(name) or self._add(name)
            service.server.timeouts = Timeouts(
                total=route.timeouts.total, response_start=route.timeouts.response_start, idle=route.timeouts.idle
            )
            service.dispatcher.route(route)
            if not self._draining:
                service.listener.want(route.port)
                self._lead_clients(service.server, route.in_path)

    async def listen_on(self, name: str, listening: socket.socket) -> None:
        """Serve `name` on a listening socket that was handed over."""
        service = self._services.get(name) or self._add(name)
        await service.listener.take_over(listening)

    def begin_drain(self, patience: float) -> None:
        """Serve on, and tell everybody to connect elsewhere next time. Idle connections are kept for `patience`
        seconds. Follow it with `stop_accepting`."""
        self._draining = True
        for service in self._services.values():
            service.server.begin_drain(patience)

    async def stop_accepting(self, *, handed_over: bool) -> None:
        """Close the listening sockets that were handed over, or those that are our own."""
        listeners = [service.listener for service in self._services.values()]
        await asyncio.gather(*(each.stop() for each in listeners if each.handed_over is handed_over))

    @property
    def has_own_ports(self) -> bool:
        """Whether clients come to ports that we have made."""
        return any(each.listener.listening and not each.listener.handed_over for each in self._services.values())

    @property
    def connections_total(self) -> int:
        """Connections that have come, of all services."""
        return sum(service.server.connections_total for service in self._services.values())

    def dismiss(self) -> None:
        """Refuse everybody who waits, and hold nobody any more."""
        for service in self._everybody():
            service.dispatcher.dismiss()

    async def wait_closed(self, grace: float) -> None:
        """Until no connection is left; after `grace` seconds the rest is cut."""
        await asyncio.gather(*(service.server.wait_closed(grace) for service in self._everybody()))

    def close(self) -> None:
        """Refuse who still waits, and end."""
        self._draining = True
        for service in self._everybody():
            service.listener.close()
            service.readiness.close()
            service.dispatcher.close()

    def _everybody(self) -> list[Service]:
        return [*self._services.values(), *self._leaving]

    def _add(self, name: str) -> Service:
        measurement = Measurement(self._source, self._epoch, self._clock())
        dispatcher = Dispatcher(name, measurement, Recorder(), self._around)
        observer = self.observability.observer(name, retries_wait=True)
        server = HttpServer(
            dispatcher,
            limits=self._limits,
            clock=self._clock,
            http2=ServerConnection,
            observer=observer,
            takes_back=True,
            read_ahead=self._read_ahead,
        )
        listener = ServiceListener(name, self._bind, server)
        service = Service(dispatcher, server, listener, ReadinessWatch(self._clock, dispatcher.proven, self._pace))
        self._services[name] = service
        return service

    def _lead_clients(self, server: HttpServer, here: bool) -> None:
        """Move clients over to the replicas, or keep them.

        Kube-proxy leads new connections elsewhere, and leaves those that exist where they are. So who is connected is
        told to connect again, and until kube-proxy has followed, everybody who still comes is served once.
        """
        if here and server.draining:
            server.end_drain()
        elif not here and not server.draining:
            server.begin_drain(_MOVE_PATIENCE_SECONDS)

    def _leave_out(self, name: str) -> None:
        service = self._services[name]
        self._followed.pop(name, None)
        if service.listener.handed_over:
            service.dispatcher.forget_endpoints()
            return
        log.info("%s is no longer in the table", name)
        del self._services[name]
        self._leaving = [other for other in self._leaving if not other.dispatcher.idle]
        self._leaving.append(service)
        service.listener.close()
        service.readiness.close()
        service.dispatcher.dismiss()
        service.dispatcher.forget_endpoints()
        service.server.begin_drain()

    def _ask_for_readiness(self, name: str) -> None:
        service = self._services.get(name)
        if service is not None:
            service.readiness.ask(service.dispatcher.endpoints.unproven())
