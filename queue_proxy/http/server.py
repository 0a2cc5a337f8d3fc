"""HttpServer: makes the protocol of each connection that comes to one listening socket."""

from __future__ import annotations

import asyncio

from queue_proxy.http.client import ClientConnection
from queue_proxy.http.connections import Connections
from queue_proxy.http.observed import ObservedConnection
from queue_proxy.http.too_many import OneTooMany


class HttpServer(Connections):
    """Serves connections for a dispatcher: `loop.create_server(server, sock=sock)`."""

    def __call__(self) -> asyncio.Protocol:
        """A protocol for one new connection."""
        if 0 < self.limits.connections <= self.connections:
            return OneTooMany(self)
        return ClientConnection(self) if self.observer is None else ObservedConnection(self)
