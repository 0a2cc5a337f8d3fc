"""Activator: the parts put together, started and drained."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

from activator.admin import AdminDispatcher
from activator.budget import Budget
from activator.link import Link
from activator.services import ServiceTable
from activator.settings import Settings
from queue_proxy.http import HttpServer
from queue_proxy.listening_sockets import take_socket
from queue_proxy.notice import idle_patience, until_nobody_comes
from queue_proxy.observability import Observability, ObservabilityError
from queue_proxy.process import StartError

_CLOCK = time.monotonic
# After the refusals of those who waited to the last, this long for answers to leave.
_FAREWELL_SECONDS = 1.0
# A controller that does not listen is not waited for at the end.
_GOODBYE_SECONDS = 0.2


class Activator:
    """One activator. Make it, `start` it, and when it is to end, `drain` and `stop` it."""

    def __init__(self, settings: Settings) -> None:
        """Takes its sockets at once, so that a start that cannot succeed fails here. Raises StartError."""
        self._settings = settings
        self._sockets = [(name, take_socket("--listen", address)) for name, address in settings.listen]
        self._admin_socket = None if settings.admin is None else take_socket("--admin", settings.admin)
        self.budget = Budget(settings.hold_requests, settings.hold_bytes)
        try:
            observability = Observability("activator", settings.name, settings.observability, _CLOCK)
        except ObservabilityError as error:
            raise StartError(str(error)) from error
        self.table = ServiceTable(
            settings.name,
            settings.bind,
            settings.comment_seconds,
            self.budget,
            settings.clients,
            observability,
            _CLOCK,
            self._wake,
        )
        self.link = Link(settings.name, settings.control, self.table, _CLOCK)
        self.leaving = False
        self._admin_server = HttpServer(AdminDispatcher(self.table, self.link, self._why_not_ready), clock=_CLOCK)
        self._admin: asyncio.Server | None = None
        self._dialling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and dial the controller."""
        for name, listening in self._sockets:
            await self.table.listen_on(name, listening)
        if self._admin_socket is not None:
            loop = asyncio.get_running_loop()
            self._admin = await loop.create_server(self._admin_server, sock=self._admin_socket)
            host, port = self._admin_socket.getsockname()[:2]
            sys.stderr.write(f"activator {self._settings.name}: admin on {host}:{port}\n")
        self._dialling = asyncio.create_task(self.link.run())

    async def drain(self) -> None:
        """Finish what is in flight and held, as long as the settings allow; the link stays, since what is held needs to
        hear of endpoints.

        Sockets that were handed over are given up at once: somebody else accepts from them. To ports of our own clients
        are led until everybody has learned that we end.
        """
        seconds = self._settings.drain_seconds
        ordered_at = _CLOCK()
        ends_at = ordered_at + seconds
        self.leaving = True
        notice = self._settings.notice.within(seconds)
        own_ports = self.table.has_own_ports
        self.table.begin_drain(seconds if own_ports else min(idle_patience(0.0), seconds))
        await self.table.stop_accepting(handed_over=True)
        if own_ports:
            await until_nobody_comes(notice, lambda: self.table.connections_total, _CLOCK)
        await self.table.stop_accepting(handed_over=False)
        if own_ports:
            now = _CLOCK()
            self.table.begin_drain(min(idle_patience(now - ordered_at), max(0.0, ends_at - now)))
        seconds = max(0.0, ends_at - _CLOCK())
        refusing = asyncio.get_running_loop().call_later(seconds, self.table.dismiss)
        await self.table.wait_closed(seconds + _FAREWELL_SECONDS)
        refusing.cancel()

    async def stop(self, *, at_once: bool = False) -> None:
        """End everything now. `at_once`: without the moment that logs and spans need to be written."""
        if self._admin is not None:
            self._admin.close()
        self.table.close()
        await self.table.wait_closed(0)
        await self._admin_server.wait_closed(0)
        if self._dialling is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self.link.leave()
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        self.table.observability.close(at_once=at_once)

    def _why_not_ready(self) -> str:
        if self.leaving:
            return "this activator drains"
        return "" if self.link.has_table else "no controller has sent a table yet"

    def _wake(self, service: str) -> None:
        self.link.urgent(service)
