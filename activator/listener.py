"""Where clients of one service connect: a socket that was handed over, or a port that the controller's table names."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from queue_proxy.http.listening import stop_listening

log = logging.getLogger(__name__)

_BACKLOG = 4_096
_AGAIN_SECONDS = 1.0


class ServiceListener:
    """Listens for one service. `serve` makes a protocol for each connection, `host` is the address of named ports."""

    def __init__(self, service: str, host: str, serve: Callable[[], asyncio.Protocol]) -> None:
        self._service = service
        self._host = host
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._wanted = 0
        self.handed_over = False

    @property
    def listening(self) -> bool:
        """Whether clients can connect."""
        return self._server is not None

    async def take_over(self, listening: socket.socket) -> None:
        """Listen on a socket that was handed over; ports that tables name mean nothing from here on."""
        self.handed_over = True
        await self._accept_from(listening)

    def want(self, port: int) -> None:
        """Listen on `port`. One that is taken is tried again and again, since whoever has it may leave; the port of
        before is served until then. 0 changes nothing."""
        if self.handed_over or port in (0, self._wanted):
            return
        self._wanted = port
        if self._attempt is not None:
            self._attempt.cancel()
        self._attempt = asyncio.get_running_loop().create_task(self._listen(port))

    def close(self) -> None:
        """Accept nobody any more."""
        self._give_up_trying()
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Accept whom the kernel has accepted already, and nobody after that."""
        self._give_up_trying()
        server, self._server = self._server, None
        if server is not None and self._socket is not None:
            await stop_listening(server, self._socket, self._serve, shared=self.handed_over)

    def _give_up_trying(self) -> None:
        self._wanted = 0
        if self._attempt is not None:
            self._attempt.cancel()

    async def _listen(self, port: int) -> None:
        told = False
        while True:
            try:
                family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
                listening = socket.create_server((self._host, port), family=family, backlog=_BACKLOG)
            except OSError as error:
                if not told:
                    log.error("%s: cannot listen on %s:%d, trying on: %s", self._service, self._host, port, error)
                    told = True
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            listening.setblocking(False)
            before, before_socket = self._server, self._socket
            await self._accept_from(listening)
            if before is not None and before_socket is not None:
                await stop_listening(before, before_socket, self._serve, shared=False)
            log.info("%s: listening on %s:%d", self._service, self._host, port)
            return

    async def _accept_from(self, listening: socket.socket) -> None:
        self._socket = listening
        self._server = await asyncio.get_running_loop().create_server(self._serve, sock=listening, backlog=_BACKLOG)
