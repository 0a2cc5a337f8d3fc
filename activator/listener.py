"""Where clients of one service connect: a socket that was handed over, or a port that the controller's table names."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

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
        self._server = await asyncio.get_running_loop().create_server(self._serve, sock=listening, backlog=_BACKLOG)

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
        self._wanted = 0
        if self._attempt is not None:
            self._attempt.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _listen(self, port: int) -> None:
        told = False
        while True:
            try:
                server = await asyncio.get_running_loop().create_server(
                    self._serve, self._host, port, backlog=_BACKLOG, reuse_address=True
                )
            except OSError as error:
                if not told:
                    log.error("%s: cannot listen on %s:%d, trying on: %s", self._service, self._host, port, error)
                    told = True
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if self._server is not None:
                self._server.close()
            self._server = server
            log.info("%s: listening on %s:%d", self._service, self._host, port)
            return
