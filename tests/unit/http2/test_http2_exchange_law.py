"""Whatever client, model and time do in whatever order: each lease of a stream is released once."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http import Timeouts, error_answer
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, frame
from tests.unit.http2.http2_core import GET, data, request
from tests.unit.http2.http2_world import FINE, GRPC, Peer, World, answer

CLIENT = st.sampled_from(["open", "open and end", "data", "end", "reset", "leave", "window", "garbage"])
MODEL = st.sampled_from(["head", "data", "end", "reset", "refuse", "die", "goaway", "window", "trailers"])
OTHER = st.sampled_from(["forward", "forward", "connect", "no connection", "answer", "time", "drain", "turn"])


@given(st.lists(st.tuples(st.one_of(CLIENT, OTHER, MODEL, OTHER), st.integers(0, 3)), max_size=60))
def test_whatever_happens_each_lease_is_released_once(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_run(steps))


async def _run(steps: list[tuple[str, int]]) -> None:
    at = World(timeouts=Timeouts(total=5))
    models: list[Peer] = []
    opened = 0
    for step, which in steps:
        stream = max(1, 2 * (opened - which) - 1)
        model = models[-1] if models else None
        match step:
            case "open" | "open and end":
                opened += 1
                pairs = GRPC if which % 2 else GET
                at.client.say(request(2 * opened - 1, ended=step != "open", pairs=pairs))
            case "data" if opened:
                at.client.say(data(stream, bytes(which * 5_000)))
            case "end" if opened:
                at.client.say(data(stream, b"x", ended=True))
            case "reset" if opened:
                at.client.say(frames.reset_frame(stream, ErrorCode.CANCEL))
            case "window":
                at.client.say(frames.window_update_frame(0, 1 + which))
            case "leave" if which == 0:
                at.client.transport.lose()
            case "garbage" if which == 0:
                at.client.say(frame(frames.PUSH_PROMISE, 4, 1, bytes(4)))
            case "forward" if at.dispatcher.waiting:
                at.forward()
            case "connect" if at.upstream.pool.dials:
                models.append(at.model())
            case "no connection" if at.upstream.pool.dials:
                at.upstream.pool.refuse()
            case "answer" if at.dispatcher.waiting:
                at.dispatcher.waiting.pop(0).answer(error_answer(503, "no"))
            case "time":
                at.later(which * 2.0)
            case "drain" if which == 3:
                at.server.begin_drain()
            case "turn":
                await asyncio_turn()
            case "head" if model:
                model.say(answer(2 * which + 1))
            case "data" | "end" if model:
                model.say(data(2 * which + 1, b"y", ended=step == "end"))
            case "trailers" if model:
                model.say(answer(2 * which + 1, FINE, ended=True))
            case "refuse" if model:
                model.say(frames.reset_frame(2 * which + 1, ErrorCode.REFUSED_STREAM))
            case "die" if model:
                model.transport.lose()
            case "goaway" if model:
                model.say(frames.goaway_frame(2 * which - 1 if which else 0, ErrorCode.NO_ERROR))
    await asyncio_turn()
    at.client.transport.lose()
    if at.upstream.pool.dials:
        at.upstream.pool.refuse()
    at.upstream.close()
    assert at.dispatcher.waiting == []
    assert all(len(lease.outcomes) == 1 for lease in at.leases), at.outcomes
    assert at.connection.streams == {}
    assert at.server.connections == 0
    for connection in at.upstream.pool.connections:
        assert not connection.streams


async def asyncio_turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
