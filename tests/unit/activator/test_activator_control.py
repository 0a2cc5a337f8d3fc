"""Reaching a controller over a network: who we are, whether it still lives, and what is said when it refuses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import hashlib
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from activator.link import ControlTarget, Link
from activator.messages import Routes
from queue_proxy.messages import Stats
from queue_proxy.token_file import TokenError, TokenFile
from tests.until import until

_SO_ATTACH_FILTER = 26
# A process that says nothing has 4.5 s from its last answer, of which there is one each second.
_SILENCE_TELLS_AFTER = 3.5
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Nothing:
    """An activator without services."""

    def names(self) -> Sequence[str]:
        return []

    def stats(self, service: str) -> Stats | None:
        return None

    def stats_with_history(self, service: str) -> Stats | None:
        return None

    def wakes(self, service: str) -> bool:
        return False

    def apply(self, routes: Routes) -> None:
        pass


class DeadController:
    """Takes a connection's handshake, or refuses it with `status`, and then says nothing, or answers pings only."""

    def __init__(self, status: int = 101, *, answers_pings: bool = False) -> None:
        self.status = status
        self.answers_pings = answers_pings
        self.authorizations: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        keys = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        self.authorizations.append(keys.get(b"Authorization", b""))
        if self.status != 101:
            writer.write(b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % self.status)
            return
        key = keys[b"Sec-WebSocket-Key"] + _WEBSOCKET_GUID
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
        writer.write(
            b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: %b\r\n\r\n" % accept
        )
        while self.answers_pings and (data := await reader.read(65_536)):
            if (b"\x89\x84") in data:
                mask, payload = data[-8:-4], data[-4:]
                writer.write(b"\x8a\x04" + bytes(x ^ m for x, m in zip(payload, mask, strict=True)))

    def be_partitioned(self) -> None:
        """Every packet that comes is dropped before TCP sees it."""
        drop_all = struct.pack("HBBI", 0x06, 0, 0, 0)  # return 0: keep no byte of it
        program = ctypes.create_string_buffer(drop_all)
        for writer in self._writers:
            filter_of_one = struct.pack("HL", 1, ctypes.addressof(program))
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_of_one)


@contextlib.asynccontextmanager
async def linked(controller: DeadController, token: TokenFile | None = None) -> AsyncIterator[Link]:
    await controller.start()
    link = Link("one", ControlTarget(f"http://localhost:{controller.port}", None, token), Nothing(), time.monotonic)
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        controller.stop()


async def test_a_controller_behind_a_network_that_drops_everything_is_left_before_its_silence_would_tell() -> None:
    controller = DeadController(answers_pings=True)
    async with linked(controller) as link:
        await until(lambda: link.connected)
        await asyncio.sleep(1.2)
        assert link.connected
        began = time.monotonic()
        controller.be_partitioned()
        await until(lambda: not link.connected)
        assert time.monotonic() - began < _SILENCE_TELLS_AFTER


async def test_a_controller_that_says_nothing_is_left_later_since_it_may_only_be_busy() -> None:
    controller = DeadController()
    async with linked(controller) as link:
        await until(lambda: link.connected)
        began = time.monotonic()
        await until(lambda: not link.connected)
        assert time.monotonic() - began > 2.5
        await until(lambda: link.connections == 2)


async def test_the_token_is_read_anew_for_each_connection(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    controller = DeadController(403)
    async with linked(controller, TokenFile(path)):
        await until(lambda: controller.authorizations)
        path.write_text("second")
        await until(lambda: controller.authorizations[-1] == b"Bearer second")
    assert controller.authorizations[0] == b"Bearer first"


async def test_a_refusal_is_said_once_and_names_no_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "token"
    path.write_text("secret-token")
    controller = DeadController(401)
    with caplog.at_level(logging.INFO, "activator.link"):
        async with linked(controller, TokenFile(path)):
            await until(lambda: len(controller.authorizations) >= 3)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["no connection to the controller: 401 Invalid response status"]
    assert "secret-token" not in caplog.text


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"a b", "not one token"), (b"a\nb", "not one token"), (b"\xff", "not one token")],
)
def test_a_file_without_one_token_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(TokenError, match=says):
        TokenFile(path).authorization()


def test_a_token_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="nowhere: No such file or directory"):
        TokenFile(tmp_path / "nowhere").authorization()
