"""One connection to the admin port of one queue proxy, on which slots are bid for and granted.

Kept for every endpoint with a limit, so that whoever has requests waiting can say so at once. While this activator is
the only one nothing is said on it. When it cannot be had, or breaks, the endpoint is used as if nobody shared it: its
queue proxy keeps the limit, only the order among activators is lost until the connection is there again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from activator.endpoint_load import EndpointLoad
from queue_proxy.messages import MessageError
from queue_proxy.slot_messages import (
    PATH,
    PROTOCOL,
    FromActivator,
    FromQueueProxy,
    LineSplitter,
    parse_from_queue_proxy,
)

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_AGAIN_AT_FIRST = 0.02
_AGAIN_AT_MOST = 1.0
# A queue proxy that answers and does not know the protocol will not learn it soon.
_AGAIN_WHEN_REFUSED = 10.0
_LONGEST_HEAD = 4_096

Said = Callable[[EndpointLoad, FromQueueProxy], None]
Lost = Callable[[EndpointLoad], None]


class SlotLink:
    """Dials, and dials again until it is closed. `said` is called with each message, `lost` when the connection is."""

    def __init__(self, load: EndpointLoad, said: Said, lost: Lost) -> None:
        """Must be made while an event loop runs."""
        self.load = load
        self.said = said
        self._lost = lost
        self._connection: _Connection | None = None
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def send(self, message: FromActivator) -> None:
        """Tell the queue proxy; nothing happens while it is not connected."""
        if self._connection is not None:
            self._connection.send(message)

    def close(self) -> None:
        """End the connection, and do not dial again. Neither `said` nor `lost` is called any more."""
        self._task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _keep(self) -> None:
        pause = _AGAIN_AT_FIRST
        while True:
            connection = _Connection(self)
            await self._connect(connection)
            if connection.is_accepted:
                self._connection = connection
                try:
                    connection.begin()
                    await connection.ended
                finally:
                    self._connection = None
                    connection.close()
                self._lost(self.load)
                pause = _AGAIN_AT_FIRST
            elif connection.refused:
                pause = _AGAIN_WHEN_REFUSED
            await asyncio.sleep(pause)
            pause = min(_AGAIN_AT_MOST, 2 * pause)

    async def _connect(self, connection: _Connection) -> None:
        endpoint = self.load.endpoint
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: connection, endpoint.host, endpoint.admin_port)
                await connection.accepted
        except OSError as error:  # a TimeoutError is one, too
            log.debug("no connection for slots to %s: %s", endpoint.name, error)
            connection.close()


class _Connection(asyncio.Protocol):
    """From the request for the upgrade to the end."""

    def __init__(self, link: SlotLink) -> None:
        loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._link: SlotLink | None = link
        self._endpoint = link.load.endpoint
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._early: list[FromQueueProxy] | None = []
        self._lines = LineSplitter()
        self.refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self._transport = transport  # type: ignore[assignment]
        host = f"{self._endpoint.host}:{self._endpoint.admin_port}"
        lines = (f"GET {PATH} HTTP/1.1", f"host: {host}", "connection: upgrade", f"upgrade: {PROTOCOL}", "", "")
        transport.write("\r\n".join(lines).encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """asyncio: the answer's head, then messages."""
        if not self.accepted.done():
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                if len(self._head) > _LONGEST_HEAD:
                    self.close()
                return
            self.accepted.set_result(head.startswith(b"HTTP/1.1 101 "))
            if not self.accepted.result():
                self.refused = True
                self.close()
                return
        try:
            for line in self._lines.feed(data):
                self._hear(parse_from_queue_proxy(line))
        except MessageError as error:
            log.warning("%s: what it says of its slots cannot be read: %s", self._endpoint.name, error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._link = None
        if not self.accepted.done():
            self.accepted.set_result(False)
        if not self.ended.done():
            self.ended.set_result(None)

    @property
    def is_accepted(self) -> bool:
        """Whether the upgrade was granted."""
        return self.accepted.done() and not self.accepted.cancelled() and self.accepted.result()

    def begin(self) -> None:
        """From here messages are passed on; those that came with the head first."""
        early, self._early = self._early, None
        for message in early or ():
            self._hear(message)

    def send(self, message: FromActivator) -> None:
        """Write one message."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(message.to_line())

    def close(self) -> None:
        """Cut it."""
        self._link = None
        if self._transport is not None:
            self._transport.abort()

    def _hear(self, message: FromQueueProxy) -> None:
        if self._early is not None:
            self._early.append(message)
        elif self._link is not None:
            self._link.said(self._link.load, message)
