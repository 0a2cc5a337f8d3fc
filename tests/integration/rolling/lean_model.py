"""A model server that costs next to nothing, so that a load test measures what stands in front of it.

`/ready` says so; `/events` is an endless event stream; an Upgrade becomes an echo; anything else is answered after
`--service-seconds` with the request's X-Request-Id as its body.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from typing import cast

import uvloop

_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
_EVENT_EVERY_SECONDS = 0.05


def field(head: bytes, name: bytes) -> bytes:
    """The value of a header line; empty when there is none."""
    _, found, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.split(b"\r\n", 1)[0].strip() if found else b""


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    transport: asyncio.Transport

    def __init__(self, service_seconds: float) -> None:
        self._service_seconds = service_seconds
        self._buffer = b""
        self._echoes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._echoes:
            self.transport.write(data)
            return
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(field(head, b"content-length") or 0)
        if not blank or len(rest) < length:
            return
        self._buffer = rest[length:]
        if field(head, b"upgrade"):
            self._echoes = True
            self.transport.write(_SWITCH)
        elif b" /events " in head:
            self.transport.write(_EVENTS)
            self._event()
        else:
            asyncio.get_running_loop().call_later(self._service_seconds, self._answer, field(head, b"x-request-id"))

    def _answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def _event(self) -> None:
        if not self.transport.is_closing():
            event = b"data: %.3f\n\n" % time.monotonic()
            self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            asyncio.get_running_loop().call_later(_EVENT_EVERY_SECONDS, self._event)


async def serve(port: int, service_seconds: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await loop.create_server(lambda: Connection(service_seconds), "127.0.0.1", port, backlog=4096)
    await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service-seconds", type=float, default=0.002)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.service_seconds))
