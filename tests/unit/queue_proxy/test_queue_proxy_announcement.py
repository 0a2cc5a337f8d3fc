"""The queue proxy says where it is: until it is believed, refused, or late. On real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from queue_proxy import announcement
from queue_proxy.announcement import Announcement
from queue_proxy.http_get import Request
from queue_proxy.token_file import TokenFile


class Controller:
    """Answers with these statuses, one after the other."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self._statuses = list(statuses)
        self.heads: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self._statuses.pop(0))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def controller(*statuses: int) -> AsyncIterator[Controller]:
    one = Controller(statuses)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenFile:
    monkeypatch.setattr(announcement, "_PAUSES", (0.0, 0.0))
    (tmp_path / "token").write_text("a-secret\n")
    return TokenFile(tmp_path / "token")


def to(port: int) -> Request:
    return Request("127.0.0.1", port, "/replicas/default/chat-1/10.0.0.7")


async def test_it_shows_its_token_and_says_where_it_is_once(token: TokenFile) -> None:
    async with controller(204) as one:
        await Announcement(to(one.port), token).make()
    (head,) = one.heads
    assert head.startswith(b"PUT /replicas/default/chat-1/10.0.0.7 HTTP/1.1\r\n")
    assert b"Authorization: Bearer a-secret\r\n" in head


async def test_it_says_it_again_to_who_could_not_take_it_yet(token: TokenFile) -> None:
    async with controller(503, 404, 204) as one:
        await Announcement(to(one.port), token).make()
    assert len(one.heads) == 3


@pytest.mark.parametrize(("statuses", "said"), [((403,), 1), ((503, 503, 503), 3)])
async def test_who_is_refused_or_late_says_so_without_the_token_and_gives_up(
    statuses: tuple[int, ...], said: int, token: TokenFile, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(*statuses) as one:
        await Announcement(to(one.port), token).make()
    assert len(one.heads) == said
    assert f"it answers with {statuses[0]}" in caplog.text
    assert "a-secret" not in caplog.text


async def test_where_nobody_listens_or_no_token_is_nothing_is_lost_but_that(
    token: TokenFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller() as one:
        pass
    await Announcement(to(one.port), token).make()
    await Announcement(to(one.port), TokenFile(tmp_path / "nowhere")).make()
    assert [record.message.count("waits until the cluster knows it") for record in caplog.records] == [1, 1]
