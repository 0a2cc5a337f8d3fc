"""The answer to one connection too many: who comes hears why, in the protocol that it speaks, and is let go.

A connection that is only closed looks like a broken server. With HTTP/2 the number of the last stream that is served,
0, says that nothing was begun, so that any request may be sent again elsewhere.
"""

from __future__ import annotations

import asyncio

from queue_proxy.http.answers import answer_bytes, error_answer
from queue_proxy.http.connections import Connections
from queue_proxy.http.transports import close_quietly

_PREFACE = b"PRI * HTTP/2.0"
_SETTINGS = b"\x00\x00\x00\x04\x00" + bytes(4)
_GOAWAY_NOTHING_SERVED = b"\x00\x00\x08\x07\x00" + bytes(4) + bytes(8)
# Who says nothing is not waited for: these are not counted, and must not become many.
_PATIENCE_SECONDS = 1.0


class OneTooMany(asyncio.Protocol):
    """Answers the first bytes and ends."""

    _transport: asyncio.Transport

    def __init__(self, server: Connections) -> None:
        self._server = server
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: accepted."""
        self._transport = transport  # type: ignore[assignment]
        self._server.connections_refused_total += 1
        self._end = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """asyncio: what it wants does not matter, only how it says so. What comes after that is thrown away."""
        if self._answered:
            return
        self._answered = True
        if data.startswith(_PREFACE):
            self._transport.write(_SETTINGS + _GOAWAY_NOTHING_SERVED)
        else:
            why = f"{self._server.limits.connections} connections are open, and more are not allowed"
            self._transport.write(answer_bytes(error_answer(503, why, retry_after=1), for_head=False, closing=True))
        close_quietly(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._end.cancel()
