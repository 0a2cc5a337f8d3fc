"""One kept connection to a replica's admin port, over which its numbers are asked for again and again.

Three thousand replicas that are asked every second are three thousand requests a second, and an HTTP library that is
made for everything takes most of a core for that. What is asked here is always the same: a page of known length, from a
queue proxy. So there is no more than that: no chunks, no redirects, no compression.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

_HEAD_END = b"\r\n\r\n"
_LARGEST_HEAD_BYTES = 16_384


class NoAnswerError(Exception):
    """There was no answer that can be used: says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    body: bytes


class ReplicaConnection:
    """Asks one address, one question at a time. Connects when it has to, and keeps the connection until `close`."""

    def __init__(self, host: str, port: int, largest_body: int) -> None:
        """Nothing is connected yet. Bodies of more than `largest_body` bytes are refused."""
        self._host = host
        self._port = port
        self._largest_body = largest_body
        self._asking: _Asking | None = None
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._rest = f" HTTP/1.1\r\nhost: {authority}\r\nuser-agent: pilotlight-controller\r\n\r\n".encode()

    async def get(self, path: str) -> Page:
        """Ask for `path`. Cancel it to give up: the connection is then made anew.

        Raises NoAnswerError, OSError when there is no connection.
        """
        kept = self._asking is not None and not self._asking.lost
        try:
            return await self._get(path)
        except _ClosedError:
            if not kept:
                raise
            return await self._get(path)  # it was closed while nothing was asked, which we learn by asking

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._asking is not None:
            self._asking.abort()
            self._asking = None

    async def _get(self, path: str) -> Page:
        asking = self._asking
        if asking is None or asking.lost:
            loop = asyncio.get_running_loop()
            _, asking = await loop.create_connection(lambda: _Asking(self._largest_body), self._host, self._port)
            self._asking = asking
        try:
            return await asking.ask(b"GET " + path.encode() + self._rest)
        except BaseException:
            # An answer that was given up would be taken for that of the next question.
            self.close()
            raise


class _ClosedError(NoAnswerError):
    """The other side closed before a byte of its answer."""


class _Asking(asyncio.Protocol):
    """One connection."""

    def __init__(self, largest_body: int) -> None:
        self._largest_body = largest_body
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Page] | None = None
        self._kept = bytearray()
        self._status = 0
        self._length = -1  # of the body that is being read; negative while a head is
        self._last = False  # nothing may be asked after this answer
        self.lost = False

    def ask(self, request: bytes) -> asyncio.Future[Page]:
        """The answer to come. One at a time."""
        assert self._transport is not None
        assert self._answer is None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def abort(self) -> None:
        self.lost = True
        self._answer = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.abort()  # nobody asked
            return
        self._kept += data
        if self._length < 0 and not self._read_head():
            return
        if len(self._kept) < self._length:
            return
        if len(self._kept) > self._length:
            self._fail(NoAnswerError("it answered more than it was asked for"))
            return
        answer, self._answer = self._answer, None
        page = Page(self._status, bytes(self._kept))
        self._kept.clear()
        self._length = -1
        if self._last:
            self.abort()
        if not answer.done():
            answer.set_result(page)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        unread = bool(self._kept) or self._length >= 0
        self._fail(NoAnswerError("it closed within its answer") if unread else _ClosedError("it closed the connection"))

    def _read_head(self) -> bool:
        """Whether the head is there, and can be used."""
        end = self._kept.find(_HEAD_END)
        if end < 0:
            if len(self._kept) > _LARGEST_HEAD_BYTES:
                self._fail(NoAnswerError(f"a head of more than {_LARGEST_HEAD_BYTES} bytes"))
            return False
        first, *lines = bytes(self._kept[:end]).split(b"\r\n")
        del self._kept[: end + len(_HEAD_END)]
        words = first.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (words[1].isdigit() and len(words[1]) == 3):
            self._fail(NoAnswerError(f"not an HTTP answer: {first[:40]!r}"))
            return False
        self._status = int(words[1])
        self._last = words[0] == b"HTTP/1.0"
        return self._read_fields(lines)

    def _read_fields(self, lines: list[bytes]) -> bool:
        length = b""
        for line in lines:
            name, _, value = line.partition(b":")
            match name.lower():
                case b"content-length":
                    length = value.strip()
                case b"connection":
                    self._last = self._last or value.strip().lower() == b"close"
        if not (length.isdigit() and len(length) < 20):
            self._fail(NoAnswerError("an answer without a length"))
            return False
        self._length = int(length)
        if self._length > self._largest_body:
            self._fail(NoAnswerError(f"it answered more than {self._largest_body} bytes"))
            return False
        return True

    def _fail(self, why: NoAnswerError) -> None:
        answer, self._answer = self._answer, None
        if not self.lost:
            self.abort()
        if answer is not None and not answer.done():
            answer.set_exception(why)
