"""Time on streams: bodies that do not come, and callers' deadlines that go on while a call is held."""

from __future__ import annotations

import pytest

from queue_proxy.http import HttpLimits, Outcome
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.grpc_timeout import lessened
from tests.unit.http2.http2_core import data, request
from tests.unit.http2.http2_world import GRPC, answer, of_kind, world


async def test_a_body_that_stops_loses_its_place_and_one_that_comes_steadily_does_not() -> None:
    with world(HttpLimits(body_seconds=2)) as at:
        at.client.say(request(1, ended=False) + request(3, ended=False))
        at.forward()
        at.forward()
        at.model()
        for _ in range(30):
            at.client.say(data(1, b"x") + data(3, bytes(100)))
            at.advance(0.1)
        assert at.outcomes == [[Outcome.FAILED], []]
        (refused,) = of_kind(await at.client.heard(), frames.HEADERS)
        assert at.client.read(refused[3])[b":status"] == b"408"
        assert at.server.slow_bodies_total == 1


async def test_a_call_may_pause_between_its_messages_but_not_for_ever() -> None:
    with world(HttpLimits(body_seconds=2)) as at:
        at.client.say(request(1, ended=False, pairs=GRPC))
        at.forward()
        at.model()
        for _ in range(5):
            at.client.say(data(1, b"a message"))
            at.advance(1.8)
        assert at.outcomes == [[]]
        at.advance(0.4)
        assert at.outcomes == [[Outcome.FAILED]]
        (refused,) = of_kind(await at.client.heard(), frames.HEADERS)
        assert at.client.read(refused[3])[b"grpc-status"] == b"4"


async def test_the_time_for_a_body_does_not_run_while_the_model_takes_no_more_or_answers() -> None:
    with world(HttpLimits(body_seconds=2)) as at:
        at.client.say(request(1, ended=False) + request(3, ended=False, pairs=GRPC))
        at.forward()
        at.forward()
        model = at.model()
        await model.heard()
        model.say(answer(3))
        at.client.say(data(1, bytes(frames.DEFAULT_FRAME_BYTES)) * 4)
        at.advance(10)
        assert at.outcomes == [[], []], "it waits for the model's window"
        model.say(frames.window_update_frame(0, 100_000) + frames.window_update_frame(1, 100_000))
        at.advance(1.8)
        assert at.outcomes == [[], []]
        at.advance(0.4)
        assert at.outcomes == [[Outcome.FAILED], []]


async def test_a_call_that_was_held_is_passed_on_with_what_is_left_of_its_callers_deadline() -> None:
    timed = (*GRPC, (b"grpc-timeout", b"30S"))
    with world() as at:
        at.client.say(request(1, pairs=timed) + request(3, pairs=timed) + request(5, pairs=GRPC))
        at.forward()
        model = at.model()
        at.later(12.5)
        at.forward()
        at.forward()
        heads = [model.read(head[3]) for head in of_kind(await model.heard(), frames.HEADERS)]
        assert [head.get(b"grpc-timeout") for head in heads] == [b"30S", b"17500m", None]
        model.say(frames.reset_frame(3, ErrorCode.REFUSED_STREAM))
        at.later(7.5)
        at.forward()
        (again,) = of_kind(await model.heard(), frames.HEADERS)
        assert model.read(again[3])[b"grpc-timeout"] == b"10000m"


@pytest.mark.parametrize(
    ("given", "held", "left"),
    [
        pytest.param(b"1S", 0.25, b"750m", id="in milliseconds"),
        pytest.param(b"100000u", 0.0255, b"75m", id="rounded up"),
        pytest.param(b"5m", 60.0, b"1m", id="never below a millisecond"),
        pytest.param(b"99999999S", 1.0, b"99999998S", id="eight digits at most"),
        pytest.param(b"99999999H", 1.0, b"99999999H", id="in hours, rounded up"),
        pytest.param(b"soon", 1.0, b"soon", id="no timeout"),
        pytest.param(b"123456789m", 1.0, b"123456789m", id="too many digits"),
    ],
)
def test_what_is_left_of_a_timeout(given: bytes, held: float, left: bytes) -> None:
    assert lessened(given, held) == left
