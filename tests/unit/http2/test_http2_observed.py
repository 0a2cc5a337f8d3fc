"""Streams tell an observer of each exchange once, with what it came to."""

from __future__ import annotations

import pytest

from queue_proxy.http import HttpServer, Outcome, error_answer
from queue_proxy.http.contract import Observed
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.server_connection import ServerConnection
from tests.unit.http2.http2_core import HELLO, data, request
from tests.unit.http2.http2_world import Peer, World

OK = encode(((b":status", b"200"),))


class Watching:
    """Remembers; adds a header to what is forwarded."""

    def __init__(self) -> None:
        self.said: list[tuple[int | None, Outcome | None, bool]] = []
        self.bytes: list[tuple[int, int]] = []

    def forwarding(self, exchange: Observed) -> None:
        exchange.add_line(b"traceparent", b"00-1")

    def ended(self, exchange: Observed) -> None:
        self.said.append((exchange.status, exchange.outcome, exchange.upstream is not None))
        self.bytes.append((exchange.bytes_in, exchange.bytes_out))


@pytest.fixture
async def watched() -> tuple[World, Watching]:
    at = World()
    observer = Watching()
    at.client.transport.lose()
    at.server = HttpServer(at.dispatcher, clock=at.clock, http2=ServerConnection, observer=observer)
    at.connection = ServerConnection(at.server)
    at.client = Peer(at.connection)
    at.client.say(HELLO)
    return at, observer


async def test_every_end_is_told_once(watched: tuple[World, Watching]) -> None:
    at, observer = watched
    at.client.say(
        b"".join(request(number, ended=False) + data(number, b"12345", ended=True) for number in range(1, 12, 2))
    )
    at.dispatcher.waiting.pop(0).answer(error_answer(429, "full"))
    for _ in range(4):
        at.forward()
    model = at.model()
    heads = [frame for frame in await model.heard() if frame[0] == frames.HEADERS]
    assert model.read(heads[0][3])[b"traceparent"] == b"00-1"
    model.say(frames.headers_frames(1, OK, ended=False) + data(1, b"told", ended=True))
    model.say(frames.reset_frame(3, ErrorCode.INTERNAL_ERROR))
    model.say(frames.headers_frames(5, OK, ended=False) + frames.reset_frame(5, ErrorCode.INTERNAL_ERROR))
    at.client.transport.lose()
    at.upstream.close()
    assert observer.said == [
        (429, None, False),
        (200, Outcome.COMPLETED, True),
        (502, Outcome.FAILED, True),
        (200, Outcome.FAILED, True),
        (None, Outcome.ABANDONED, True),
        (None, None, False),
    ]
    assert observer.bytes[1][0] > 5
    assert observer.bytes[1][1] == len(OK) + 4
