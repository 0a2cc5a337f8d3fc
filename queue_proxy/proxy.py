"""QueueProxy: the parts put together, started and drained."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

from queue_proxy.admin import AdminDispatcher
from queue_proxy.dispatcher import QueueDispatcher
from queue_proxy.drain import Drain, DrainTimes
from queue_proxy.http import Answer, HttpServer, Timeouts, Upstream
from queue_proxy.http.listening import stop_listening
from queue_proxy.http2_when_needed import http2_connection, load_http2
from queue_proxy.limiter import QueueBounds
from queue_proxy.listening_sockets import BACKLOG, take_socket
from queue_proxy.measurement import Measurement
from queue_proxy.notice import HANDED_OVER
from queue_proxy.observability import Observability, ObservabilityError
from queue_proxy.process import StartError
from queue_proxy.readiness import Readiness
from queue_proxy.settings import Config

if TYPE_CHECKING:
    from queue_proxy.engine_metrics import EngineReader

# By then a model that starts in a moment has its first request.
_LOAD_HTTP2_SECONDS = 1.0
# After the drain, for the word that the model may end to leave.
_FAREWELL_SECONDS = 0.5
_CLOCK = time.monotonic


class QueueProxy:
    """One replica's proxy. Make it, `start` it, and when it is to end, `drain` and `stop` it."""

    def __init__(self, config: Config) -> None:
        """Takes its sockets at once, so that a start that cannot succeed fails here. Raises StartError."""
        self._config = config
        self._sockets = (
            take_socket("--listen", config.listen),
            take_socket("--admin", config.admin),
        )
        self._readiness = Readiness(config.probe, (config.upstream_host, config.upstream_port))
        self._upstream = Upstream(
            config.upstream_host, config.upstream_port, clock=_CLOCK, protocol=config.upstream_protocol
        )
        self._dispatcher = QueueDispatcher(
            self._upstream,
            config.limit,
            QueueBounds(config.queue_requests, config.queue_seconds, config.queue_bytes),
            self._readiness,
            Measurement(config.name, os.urandom(8).hex(), _CLOCK()),
            _CLOCK,
            config.clients,
        )
        try:
            self._observability = Observability("queue_proxy", config.name, config.observability, _CLOCK)
        except ObservabilityError as error:
            raise StartError(str(error)) from error
        timeouts = Timeouts(config.timeout, config.response_start_timeout, config.idle_timeout)
        observer = self._observability.observer(config.service, config.name)
        self._server = HttpServer(
            self._dispatcher, config.clients, timeouts, _CLOCK, http2=http2_connection, observer=observer
        )
        self._engine = _engine_reader(config)
        inherited = config.listen.fd is not None
        self._drain = Drain(
            DrainTimes(config.drain_seconds, HANDED_OVER if inherited else config.notice),
            self._dispatcher,
            self._server,
            _CLOCK,
            self._announce_drain,
            self._close_door,
        )
        self._admin = AdminDispatcher(self._dispatcher, self._engine, self._drain, self._metrics)
        self._admin_server = HttpServer(self._admin, clock=_CLOCK)
        self._listeners: list[asyncio.Server] = []
        self._announcing: asyncio.Task[None] | None = None

    async def start(self) -> asyncio.Task[None]:
        """Listen, and begin to ask the model. The task that is returned never ends unless something is broken."""
        loop = asyncio.get_running_loop()
        for server, sock in zip((self._admin_server, self._server), reversed(self._sockets), strict=True):
            self._listeners.append(await loop.create_server(server, sock=sock, backlog=BACKLOG))
        if self._config.announcement is not None:
            self._announcing = asyncio.create_task(self._config.announcement.make())
        watching = self._readiness.start()
        loop.call_later(_LOAD_HTTP2_SECONDS, loop.run_in_executor, None, load_http2)
        requests, admin = (sock.getsockname() for sock in self._sockets)
        sys.stderr.write(f"queue_proxy {self._config.name}: requests on {_text(requests)}, admin on {_text(admin)}\n")
        return watching

    async def drain(self) -> None:
        """Say that this replica is not ready, and let what is there end within the seconds that are configured.

        Who routes learns of it later than we do. So new connections are still taken for a while, and idle ones are kept
        for longer than that: what comes on either is served, with an answer that says it is the last one.
        """
        await self._drain.run()
        if self._admin.models_let_go:
            self._admin_server.begin_drain()
            await self._admin_server.wait_closed(_FAREWELL_SECONDS)

    def _announce_drain(self) -> None:
        self._admin.drain()

    async def _close_door(self) -> None:
        inherited = self._config.listen.fd is not None
        await stop_listening(self._listeners[1], self._sockets[0], self._server, shared=inherited)

    def _metrics(self) -> Answer:
        # Loaded when somebody scrapes: a wake need not wait for that.
        from queue_proxy.metrics import Sources
        from queue_proxy.metrics_page import CONTENT_TYPE, render

        page = render(Sources(self._dispatcher, self._server, self._observability))
        return Answer(200, ((b"content-type", CONTENT_TYPE),), page)

    async def stop(self, *, at_once: bool = False) -> None:
        """End everything now. `at_once`: without the moment that logs and spans need to be written."""
        for listener in self._listeners:
            listener.close()
        if self._announcing is not None:
            self._announcing.cancel()
        await self._drain.cancel()
        await self._readiness.stop()
        if self._engine is not None:
            await self._engine.stop()
        self._upstream.close()
        self._dispatcher.slots.close()
        await self._server.wait_closed(0)
        await self._admin_server.wait_closed(0)
        self._observability.close(at_once=at_once)


def _engine_reader(config: Config) -> EngineReader | None:
    if config.engine_metrics is None:
        return None
    from queue_proxy.engine_metrics import EngineReader

    return EngineReader(config.engine_metrics, _CLOCK)


def _text(name: object) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
