"""Translated streams: whatever the client and an HTTP/1 model do, each lease is released once and answers are whole."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http import Outcome, Timeouts, UpstreamProtocol, error_answer
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode
from tests.unit.http2.http2_core import GET, data, request
from tests.unit.http2.http2_world import World, of_kind
from tests.unit.http_engine.http_fakes import FakeLease, FakeTransport, FakeUpstream


class TranslatedWorld(World):
    """Its upstream speaks HTTP/1."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        super().__init__(timeouts=timeouts)
        self.plain = FakeUpstream(self.clock)
        self.plain.protocol = UpstreamProtocol.HTTP1

    def forward(self) -> FakeLease:
        lease = FakeLease()
        self.leases.append(lease)
        self.dispatcher.waiting.pop(0).forward(self.plain, lease)
        return lease


async def test_a_request_is_written_as_one_of_http1() -> None:
    at = TranslatedWorld()
    cookies = ((b"cookie", b"a=1"), (b"te", b"trailers"), (b"cookie", b"b=2"), (b"x-y", b"z"))
    at.client.say(request(1, ended=False, pairs=(*GET, *cookies)) + data(1, b"body", ended=True))
    at.client.say(request(3, ended=False) + data(3, b"part"))
    at.client.say(request(5))
    for _ in range(3):
        at.forward()
    for _ in range(3):
        at.plain.connect_next()
    at.client.say(data(3, b"rest", ended=True))
    assert [transport.written for transport in at.plain.transports] == [
        b"GET / HTTP/1.1\r\nhost: model\r\nx-y: z\r\ncookie: a=1; b=2\r\ncontent-length: 4\r\n\r\nbody",
        b"GET / HTTP/1.1\r\nhost: model\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n4\r\nrest\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: model\r\n\r\n",
    ]
    at.client.transport.lose()


async def test_a_slow_client_stops_the_model() -> None:
    at = TranslatedWorld()
    at.client.say(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 10}) + request(1))
    at.forward()
    model = at.plain.connect_next()
    model.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + bytes(100_000))
    paused = [model.paused]
    at.client.say(frames.window_update_frame(1, 65_000))
    paused.append(model.paused)
    assert paused == [True, False]
    assert sum(len(payload) for _, _, _, payload in of_kind(await at.client.heard(), frames.DATA)) == 65_010
    at.client.transport.lose()
    assert at.outcomes == [[Outcome.ABANDONED]]


OURS = st.sampled_from(
    ["open", "open and end", "data", "end", "reset", "forward", "connect", "refuse", "answer", "time", "turn", "leave"]
)
THEIRS = st.sampled_from(
    ["whole", "head", "part", "chunks", "until close", "eof", "die", "full", "drained", "nonsense", "interim"]
)


@given(st.lists(st.tuples(st.one_of(OURS, THEIRS), st.integers(0, 2)), max_size=50))
def test_whatever_happens_each_translated_lease_is_released_once(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_run(steps))


async def _run(steps: list[tuple[str, int]]) -> None:
    at = TranslatedWorld(Timeouts(total=5))
    opened = 0
    for step, which in steps:
        stream = max(1, 2 * (opened - which) - 1)
        models = [transport for transport in at.plain.transports if not transport.closing]
        model = models[which % len(models)] if models else None
        match step:
            case "open" | "open and end":
                opened += 1
                at.client.say(request(2 * opened - 1, ended=step != "open"))
            case "data" | "end" if opened:
                at.client.say(data(stream, bytes(which * 5_000), ended=step == "end"))
            case "reset" if opened:
                at.client.say(frames.reset_frame(stream, ErrorCode.CANCEL))
            case "forward" if at.dispatcher.waiting:
                at.forward()
            case "connect" if at.plain.attempts:
                at.plain.connect_next()
            case "refuse" if at.plain.attempts:
                at.plain.refuse_next()
            case "answer" if at.dispatcher.waiting:
                at.dispatcher.waiting.pop(0).answer(error_answer(503, "no"))
            case "time":
                at.later(which * 2.0)
            case "leave" if which == 2:
                at.client.transport.lose()
            case "turn":
                await asyncio.sleep(0)
            case _ if model:
                _answer(model, step)
    at.client.transport.lose()
    while at.plain.attempts:
        at.plain.refuse_next()
    at.plain.close()
    assert at.dispatcher.waiting == []
    assert all(len(lease.outcomes) == 1 for lease in at.leases), at.outcomes
    assert at.server.connections == 0
    for _ in range(2):
        await asyncio.sleep(0)


def _answer(model: FakeTransport, step: str) -> None:
    said = {
        "whole": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "head": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "part": b"xxx",
        "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
        "until close": b"HTTP/1.1 200 OK\r\n\r\nx",
        "nonsense": b"nonsense\r\n\r\n",
        "interim": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    }
    match step:
        case "eof":
            model.receive_eof()
        case "die":
            model.lose(ConnectionResetError())
        case "full":
            model.protocol.pause_writing()
        case "drained":
            model.protocol.resume_writing()
        case _ if step in said:
            model.receive(said[step])
