"""What flows between us and one client: how it is stopped, and how the connection ends without taking anything away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from queue_proxy.http.deadlines import NEVER, Watched
from queue_proxy.http.transports import close_quietly

if TYPE_CHECKING:
    from queue_proxy.http.server import HttpServer


class ClientFlow(Watched, asyncio.Protocol):
    """What `ClientConnection` is built on. `full`: the client takes no more for now."""

    __slots__ = ("_ahead", "_blocked", "_lingers_until", "clock", "full", "limits", "transport")

    # Why reading pauses: bits of `_blocked`.
    BODY_HELD = 1
    UPSTREAM_FULL = 2
    AHEAD = 4
    TURN = 8

    transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server)
        self.limits = server.limits
        self.clock = server.clock
        self.full = False
        self._ahead = b""
        self._blocked = 0
        self._lingers_until: float | None = None

    def write(self, data: bytes) -> None:
        """Send to the client. A transport that is closing is not written to: uvloop's would raise."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def block(self, why: int) -> None:
        """Pause reading until `why` is unblocked."""
        if not self._blocked and not self.transport.is_closing():
            self.transport.pause_reading()
            # With reading paused nobody is told that the client leaves; so it is looked at, now and then.
            self.look_at(self.clock() + 1.0)
        self._blocked |= why

    def unblock(self, why: int) -> None:
        """Take `why` back; read again when no other reason is left."""
        if self._blocked & why:
            self._blocked &= ~why
            if not self._blocked and not self.transport.is_closing():
                self.transport.resume_reading()

    @property
    def is_blocked(self) -> bool:
        """Whether reading pauses."""
        return self._blocked != 0

    def take_ahead(self) -> bytes:
        """What the client has sent beyond its request."""
        ahead, self._ahead = self._ahead, b""
        self.unblock(self.AHEAD)
        return ahead

    def _keep_ahead(self, data: bytes) -> None:
        """Hold what belongs to a later request, within bounds."""
        self._ahead += data
        if len(self._ahead) >= self.limits.waiting_bytes:
            self.block(self.AHEAD)

    def _close(self, *, linger: bool) -> None:
        """Close after what is written has been sent. While a client still sends, a plain close would reset the
        connection and could take the answer away from it; so its bytes are read and thrown away for a while."""
        self._ahead = b""
        transport = self.transport
        if transport.is_closing():
            self._lingers_until = NEVER
            return
        self._lingers_until = self.clock() + self.limits.linger_seconds
        if linger:
            self.unblock(self._blocked)
            close_quietly(transport)
        else:
            self._lingers_until = self.clock() + self.limits.idle_seconds
            transport.close()
        self.look_at(self._lingers_until)
