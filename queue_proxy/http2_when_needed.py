"""HTTP/2 is loaded when somebody speaks it: its modules take a fifth of a queue proxy's start, and for a model that
starts in a moment that is what its first request waits for. Most models are never spoken to in HTTP/2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queue_proxy.http.connections import Connections


def http2_connection(server: Connections) -> asyncio.Protocol:
    """The protocol of a connection that begins with HTTP/2's preface."""
    from queue_proxy.http2.server_connection import ServerConnection

    return ServerConnection(server)


def load_http2() -> None:
    """Have it at hand, so that the first who speaks it does not wait for it."""
    import queue_proxy.http2.server_connection  # noqa: F401
