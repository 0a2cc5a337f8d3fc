"""How exchanges and connections end that nobody finishes: timeouts, drains, slow heads, answers that nobody reads."""

from __future__ import annotations

import pytest

from queue_proxy.http import HttpLimits, Outcome, Timeouts
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import frame
from tests.unit.http2.http2_core import data, request
from tests.unit.http2.http2_world import GRPC, answer, of_kind, world


async def test_timeouts_answer_or_end_what_has_begun() -> None:
    with world(timeouts=Timeouts(total=10, response_start=2, idle=5)) as at:
        at.client.say(request(1, pairs=GRPC) + request(3))
        at.forward()
        at.forward()
        model = at.model()
        model.say(answer(3))
        await at.client.heard()
        at.later(2.2)
        got = await at.client.heard()
        assert at.client.read(got[0][3])[b"grpc-status"] == b"4"
        at.later(3.2)
        assert [one[2] for one in of_kind(await at.client.heard(), frames.RST_STREAM)] == [3]
        assert at.outcomes == [[Outcome.FAILED]] * 2


async def test_the_end_of_an_answer_that_nobody_reads_is_dropped_after_a_while() -> None:
    with world(HttpLimits(idle_seconds=30)) as at:
        at.client.say(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 0}) + request(1, pairs=GRPC))
        at.forward()
        at.model().say(answer(1) + data(1, b"rest", ended=True))
        await at.client.heard()
        assert at.outcomes == [[Outcome.COMPLETED]]
        assert len(at.connection.streams) == 1
        at.later(31)
        assert of_kind(await at.client.heard(), frames.RST_STREAM) != []
        assert at.connection.streams == {}


async def test_a_drain_warns_first_and_names_the_last_stream_when_the_client_has_seen_it() -> None:
    with world() as at:
        at.client.say(request(1, pairs=GRPC))
        at.forward()
        model = at.model()
        await at.client.heard()
        at.server.begin_drain()
        got = await at.client.heard()
        assert [kind for kind, *_ in got] == [frames.GOAWAY, frames.PING]
        assert int.from_bytes(got[0][3][:4], "big") == 2**31 - 1
        at.client.say(request(3, pairs=GRPC))
        assert len(at.dispatcher.arrived) == 2
        at.client.say(frame(frames.PING, frames.ACK, 0, got[1][3]) + request(5, pairs=GRPC))
        last = await at.client.heard()
        assert int.from_bytes(last[0][3][:4], "big") == 3
        assert len(at.dispatcher.arrived) == 2
        at.forward()
        model.say(answer(1, ended=True) + answer(3, ended=True))
        got = await at.client.heard()
        assert len(of_kind(got, frames.HEADERS)) == 2
        assert at.client.transport.closing


async def test_a_client_that_does_not_answer_the_last_call_is_not_waited_for() -> None:
    with world() as at:
        at.server.begin_drain()
        await at.client.heard()
        at.later(1.2)
        at.later(0.2)
        assert of_kind(await at.client.heard(), frames.GOAWAY) != []
        assert at.client.transport.closing


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="silence behind the greeting"),
        pytest.param(frame(frames.HEADERS, 0, 1, b"\x82"), id="a block without end"),
    ],
)
async def test_slow_heads_and_idle_connections_end(said: bytes) -> None:
    with world(HttpLimits(head_seconds=2, idle_seconds=30)) as at:
        at.client.say(said)
        at.later(2.2)
        assert bool(at.server.slow_heads_total) == bool(said)
        for _ in range(4):
            at.later(31)
            await at.client.heard()
        assert at.client.transport.closing
