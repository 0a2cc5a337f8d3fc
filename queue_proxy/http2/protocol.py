"""A connection on an asyncio transport: what both sides share.

Writes are gathered and leave once per turn of the event loop, whichever streams and connections caused them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from queue_proxy.http.transports import close_quietly
from queue_proxy.http2.connection import Connection
from queue_proxy.http2.limits import Http2Limits

Owner = TypeVar("Owner")
Head = TypeVar("Head")

_MOST_UNREAD: Final = 1_048_576
"""Bytes that a peer may leave unread before we stop reading from it: so it cannot have us answer pings into memory."""


def _close(transport: asyncio.Transport) -> None:
    transport.close()


class Http2Protocol(Connection[Owner, Head], asyncio.Protocol, Generic[Owner, Head]):
    """Reads from and writes to one transport."""

    transport: asyncio.Transport

    def __init__(self, limits: Http2Limits, clock: Callable[[], float], *, serves: bool) -> None:
        super().__init__(limits, clock, serves=serves)
        self.clock = clock
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._end: Callable[[asyncio.Transport], None] = _close
        self._reading_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected. The greeting leaves at once."""
        self.transport = transport  # type: ignore[assignment]
        self.flush()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the peer."""
        self.receive(data)
        if self.full and not self._reading_paused and self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self._reading_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """asyncio: the peer has closed its side; HTTP/2 has no use for half a connection."""
        return False

    def pause_writing(self) -> None:
        """asyncio: the peer takes no more for now."""
        self.full = True

    def resume_writing(self) -> None:
        """asyncio: the peer takes more."""
        self.full = False
        if self._reading_paused:
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()
        self.pump()

    def wake(self) -> None:
        """Write what gathers, in the next turn of the loop."""
        self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what has gathered. A transport that is closing is not written to: uvloop's would raise."""
        if self.out:
            data = self.take_out()
            if not self.transport.is_closing():
                self.transport.write(data)
        if self._closing:
            self._end(self.transport)
        elif not self.full:
            self.pump()

    def close_soon(self, *, linger: bool = False) -> None:
        """Close once everything that was put is written. `linger`: end our side only, and read on: closed while the
        peer still sends, the connection would be reset, and our last word could be lost with it."""
        if not self._closing:
            self._closing = True
            self._end = close_quietly if linger else _close
            self._loop.call_soon(self.flush)
