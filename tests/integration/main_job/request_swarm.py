"""Sends many requests at once, each on a connection of its own, and counts what comes back.

"Exactly one answer" is checked where it can be seen, on the socket: whatever arrives after the first whole answer is
kept and counted too.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(slots=True)
class Answered:
    """What one request got: every status line seen on its connection, and the body of the first answer."""

    request: str
    statuses: list[int] = field(default_factory=list)
    body: bytes = b""
    closed_early: bool = False

    @property
    def lost(self) -> bool:
        """No answer, more than one, or half of one."""
        return len(self.statuses) != 1 or self.closed_early

    @property
    def pid(self) -> int:
        """The model process that answered."""
        return int(json.loads(self.body)["pid"])


class _Request(asyncio.Protocol):
    def __init__(self, request: str, ended: asyncio.Future[None]) -> None:
        self.result = Answered(request)
        self._ended = ended
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        payload = json.dumps({"request": self.result.request}).encode()
        transport.write(
            b"POST /infer HTTP/1.1\r\nHost: swarm\r\nX-Request-Id: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (self.result.request.encode(), len(payload), payload)
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, blank, rest = self._buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            length = _content_length(head)
            if len(rest) < length:
                return
            self.result.statuses.append(int(head.split(b" ", 2)[1]))
            if len(self.result.statuses) == 1:
                self.result.body = rest[:length]
            self._buffer = rest[length:]
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self.result.closed_early = self.result.closed_early or not self.result.statuses or bool(self._buffer)
        self._end()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise AssertionError(f"an answer without a length: {head!r}")


async def _send_one(host: str, port: int, request: str) -> tuple[Answered, asyncio.Transport | None]:
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    try:
        transport, protocol = await loop.create_connection(lambda: _Request(request, ended), host, port)
    except OSError:
        return Answered(request, closed_early=True), None
    await ended
    return protocol.result, transport


async def send_all(host: str, port: int, requests: int, name: str = "r", within: float = 100.0) -> list[Answered]:
    """Send `requests` at once; returns when each has ended. Raises TimeoutError when one is stuck."""
    _allow_open_files(requests + 1_000)
    async with asyncio.timeout(within):
        pairs = await asyncio.gather(*(_send_one(host, port, f"{name}-{number}") for number in range(requests)))
    for _, transport in pairs:
        if transport is not None:
            transport.close()
    await asyncio.sleep(0)
    return [answered for answered, _ in pairs]


def run(work: Coroutine[None, None, Result]) -> Result:
    """asyncio.run for a test that is not itself a coroutine: leaves the thread's own event loop as it was."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


def _allow_open_files(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
