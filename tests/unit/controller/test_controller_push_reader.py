"""Pushes that tell only what is new, and what is made of them: the same as if everything had been told each time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.messages import StatsPush, parse_stats_push
from activator.push_writer import WHOLE_EVERY, PushWriter
from autoscaler.controller.readings.push_reader import PushReader
from queue_proxy.measurement import Measurement
from queue_proxy.messages import MessageError, SecondStats, Stats

NAMES = ("a", "b", "c")


def stats(at: float, arrived: int = 0) -> Stats:
    return Stats("activator/one", "e", at, arrived=arrived)


def over_the_wire(push: StatsPush) -> StatsPush:
    return parse_stats_push(json.loads(json.dumps(push.to_json())))


def test_who_has_no_news_is_not_told_of_and_is_read_as_before_at_the_new_time() -> None:
    writer, reader = PushWriter(), PushReader()
    first = writer.whole({"a": stats(1.0), "b": stats(1.0)}, 1.0, accepts_still=True)
    assert set(first.services) == {"a", "b"}
    reader.read(over_the_wire(first))
    second = writer.whole({"a": stats(2.0, arrived=1), "b": stats(2.0)}, 2.0, accepts_still=True)
    assert set(second.services) == {"a"}
    assert reader.read(over_the_wire(second)).services == {"a": stats(2.0, arrived=1), "b": stats(2.0)}


def test_a_controller_that_does_not_say_that_it_understands_is_told_everything() -> None:
    writer = PushWriter()
    for at in (1.0, 2.0):
        push = writer.whole({"a": stats(at)}, at, accepts_still=False)
        assert push == StatsPush(False, {"a": stats(at)})


def test_everything_is_told_again_now_and_then() -> None:
    writer = PushWriter()
    told = [len(writer.whole({"a": stats(1.0)}, 1.0, accepts_still=True).services) for _ in range(2 * WHOLE_EVERY + 1)]
    assert [number for number, count in enumerate(told) if count] == [0, WHOLE_EVERY, 2 * WHOLE_EVERY]


def test_after_a_message_that_could_not_be_read_nobody_is_as_before() -> None:
    reader = PushReader()
    reader.read(StatsPush(False, {"a": stats(1.0)}))
    reader.forget()
    assert reader.read(StatsPush(False, {}, 2.0)).services == {}


def test_who_is_gone_is_not_told_of_any_more() -> None:
    writer, reader = PushWriter(), PushReader()
    reader.read(over_the_wire(writer.whole({"a": stats(1.0), "b": stats(1.0)}, 1.0, accepts_still=True)))
    reader.read(over_the_wire(writer.whole({"b": stats(2.0)}, 2.0, accepts_still=True)))
    assert set(reader.read(StatsPush(False, {}, 3.0)).services) == {"b"}


def test_history_is_handed_on_once() -> None:
    reader, row = PushReader(), SecondStats(0.0, 1.0, 0.0, 1)
    push = StatsPush(False, {"a": replace(stats(1.0), seconds=(row,))})
    assert reader.read(push) == push
    assert reader.read(StatsPush(False, {}, 2.0)).services == {"a": stats(2.0)}


def test_a_time_before_the_last_is_refused() -> None:
    reader = PushReader()
    reader.read(StatsPush(False, {"a": stats(5.0)}))
    with pytest.raises(MessageError, match=r"still_at must not be before 5\.0"):
        reader.read(StatsPush(False, {}, 4.0))


# What may happen to a service between two pushes, and whether an urgent push tells of it in between.
EVENTS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(("hold", "forward", "end", "refuse", "urgent")), st.booleans()),
    max_size=60,
)


@given(EVENTS, st.booleans())
def test_what_is_read_is_what_a_push_of_everything_would_have_said(
    events: list[tuple[str, str, bool]], accepts_still: bool
) -> None:
    writer, reader = PushWriter(), PushReader()
    services = {name: Measurement("activator/one", "e", 0.0) for name in NAMES}
    now = 0.0
    for name, event, pushes in events:
        now += 0.25
        measurement = services[name]
        if event == "hold":
            measurement.arrive(now)
            measurement.enqueue(now)
        elif event == "forward" and measurement.waiting:
            measurement.dequeue(now)
            measurement.start(now)
        elif event == "end" and measurement.running:
            measurement.finish(now)
            measurement.completed += 1
        elif event == "refuse":
            measurement.refused += 1
        elif event == "urgent":
            reader.read(over_the_wire(writer.part({name: measurement.stats(now)}, urgent=True)))
        if pushes:
            whole = {each: services[each].stats(now) for each in NAMES}
            told = over_the_wire(writer.whole(whole, now, accepts_still=accepts_still))
            assert dict(reader.read(told).services) == whole
