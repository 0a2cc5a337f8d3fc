"""What flows between us and one client: how it is stopped, and how the connection ends without taking anything away."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from queue_proxy.http.connections import Connections, Watched
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.http.transports import close_quietly, reset


class ClientFlow(Watched, asyncio.Protocol):
    """What `ClientConnection` is built on. `full`: the client takes no more for now."""

    __slots__ = ("_ahead", "_blocked", "_counted", "_lingers_until", "clock", "exchange", "full", "limits", "transport")

    # Why reading pauses: bits of `_blocked`.
    BODY_HELD: ClassVar[int] = 1
    UPSTREAM_FULL: ClassVar[int] = 2
    AHEAD = 4
    TURN = 8

    transport: asyncio.Transport

    def __init__(self, server: Connections) -> None:
        super().__init__(server)
        self.limits = server.limits
        self.clock = server.clock
        self.exchange: Http1Exchange | None = None
        self.full = False
        self._ahead = b""
        # How much of it is counted with what all clients have sent ahead.
        self._counted = 0
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

    # What it sends ahead

    def take_ahead(self) -> bytes:
        """What the client has sent beyond its request."""
        ahead = self._ahead
        self._drop_ahead()
        self.unblock(self.AHEAD)
        return ahead

    def _drop_ahead(self) -> None:
        self._ahead = b""
        if self._counted:
            self._count(0)

    def _count(self, size: int) -> bool:
        """Have `size` bytes of ours counted; False when that is too much, with what all others have sent ahead."""
        if not self.server.read_ahead.exchanges(self._counted, size):
            return False
        self._counted = size
        return True

    def _keep_ahead(self, data: bytes) -> None:
        """Hold what belongs to a later request, within bounds."""
        self._ahead += data
        self._bound_ahead()

    def _bound_ahead(self) -> None:
        """What was sent ahead has to wait: stop reading when it is much, and throw it away when it is too much."""
        size = len(self._ahead)
        if self._count(size):
            if size >= self.limits.waiting_bytes:
                self.block(self.AHEAD)
            return
        exchange = self.exchange
        if exchange is None:
            self._close(linger=True)
        else:
            self._drop_ahead()
            self.block(self.AHEAD)
            exchange.nothing_follows()

    # How it ends

    def cut(self, framed: bool) -> None:
        """End an answer that is not whole, in a way that its client can see.

        Where the framing shows that the end is missing (`framed`), the client still gets what was sent; where
        the connection's end would be a valid end of the body, the connection is reset.
        """
        self.exchange = None
        if framed:
            self._close(linger=False)
            return
        self._lingers_until = NEVER
        if self.transport.is_closing():
            return
        reset(self.transport)

    def abandon(self) -> None:
        """Cut the connection and whatever runs on it, as if the client had left."""
        exchange, self.exchange = self.exchange, None
        self._lingers_until = NEVER
        if exchange is not None:
            exchange.client_left()
        self.transport.abort()

    def _close(self, *, linger: bool) -> None:
        """Close after what is written has been sent. While a client still sends, a plain close would reset the
        connection and could take the answer away from it; so its bytes are read and thrown away for a while."""
        self._drop_ahead()
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
