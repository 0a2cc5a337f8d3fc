"""Areas under running and waiting, whatever the order and spacing of events."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queue_proxy.measurement import Measurement
from queue_proxy.messages import EngineStats, parse_stats


def measurement(now: float = 0.0, history: int = 600) -> Measurement:
    return Measurement("chat-1", "epoch-1", now, history)


def test_busy_seconds_are_the_area_under_running() -> None:
    m = measurement()
    m.start(1.0)
    m.start(2.0)
    m.finish(4.0)
    m.finish(10.0)
    assert m.stats(20.0).busy_seconds == pytest.approx(3.0 + 8.0)


def test_waiting_and_running_do_not_mix() -> None:
    m = measurement()
    m.enqueue(0.0)
    m.dequeue(3.0)
    m.start(3.0)
    m.finish(5.0)
    reading = m.stats(9.0)
    assert reading.waiting_seconds == pytest.approx(3.0)
    assert reading.busy_seconds == pytest.approx(2.0)


def test_a_reading_in_the_middle_covers_what_still_runs() -> None:
    m = measurement()
    m.start(0.0)
    assert m.stats(2.5).busy_seconds == pytest.approx(2.5)
    assert m.stats(4.0).busy_seconds == pytest.approx(4.0)


def test_history_has_one_row_for_each_whole_second_oldest_first() -> None:
    m = measurement()
    m.arrive(0.5)
    m.start(0.5)
    m.arrive(1.25)
    m.enqueue(1.25)
    m.dequeue(1.75)
    m.finish(2.0)
    rows = m.stats(3.5, seconds=10).seconds
    assert [(r.age, r.busy, r.waited, r.arrived) for r in rows] == [
        (2.5, 0.5, 0.0, 1),
        (1.5, 1.0, 0.5, 1),
        (0.5, 0.0, 0.0, 0),
    ]


def test_a_long_silence_is_remembered_as_what_it_was_and_costs_one_entry() -> None:
    m = measurement()
    m.start(0.0)
    m.finish(100_000.25)
    rows = m.stats(100_001.0, seconds=600).seconds
    assert len(rows) == 600
    assert [row.busy for row in rows] == [1.0] * 599 + [pytest.approx(0.25)]
    assert len(m._history) < 5


def test_of_a_silence_the_first_and_the_last_second_are_told() -> None:
    m = measurement()
    m.arrive(0.5)
    for second in range(1, 500):
        m.stats(second + 0.25)  # read each second, as it is
    m.arrive(500.5)
    told = [(row.age, row.arrived) for row in m.stats(502.0, seconds=600).seconds]
    assert told == [(501.0, 1), (500.0, 0), (2.0, 0), (1.0, 1), (0.0, 0)]
    assert [row.age for row in m.stats(502.0, seconds=10).seconds] == [9.0, 2.0, 1.0, 0.0]
    assert len(m._history) == 4


def test_history_keeps_no_more_than_it_should() -> None:
    m = measurement(history=5)
    for second in range(50):
        m.arrive(second + 0.5)
    assert len(m._history) <= 5
    assert [row.arrived for row in m.stats(50.0, seconds=600).seconds] == [1] * 5


def test_history_is_empty_unless_asked_for() -> None:
    m = measurement()
    m.start(0.0)
    assert m.stats(30.0).seconds == ()


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    m = measurement(5.0)
    m.start(6.0)
    m.advance(5.5)
    m.finish(7.0)
    assert m.stats(6.5).busy_seconds == pytest.approx(1.0)


def test_the_first_forwarded_request_and_readiness_are_dated_once() -> None:
    m = measurement()
    m.ready_at = 1.5
    m.start(2.0)
    m.finish(3.0)
    m.start(4.0)
    reading = m.stats(5.0)
    assert (reading.ready_at, reading.first_request_at) == (1.5, 2.0)


def test_a_reading_survives_the_wire() -> None:
    m = measurement()
    m.arrive(0.5)
    m.start(0.5)
    reading = m.stats(7.25, held_bytes=10, engine=EngineStats(1.0, None, 0.5), seconds=60)
    assert parse_stats(json.loads(json.dumps(reading.to_json()))) == reading


@settings(max_examples=150, deadline=None)
@given(
    start=st.floats(0, 10),
    events=st.lists(
        st.tuples(st.sampled_from(["arrive", "enqueue", "dequeue", "start", "finish"]), st.floats(0, 4)), max_size=40
    ),
    rest=st.floats(0, 30),
)
def test_areas_agree_with_a_sum_over_all_intervals(start: float, events: list[tuple[str, float]], rest: float) -> None:
    m = measurement(start)
    now, running, waiting, busy, waited, arrived = start, 0, 0, 0.0, 0.0, 0
    for name, gap in events:
        now += gap
        busy += running * gap
        waited += waiting * gap
        if (name == "dequeue" and not waiting) or (name == "finish" and not running):
            continue
        getattr(m, name)(now)
        running += {"start": 1, "finish": -1}.get(name, 0)
        waiting += {"enqueue": 1, "dequeue": -1}.get(name, 0)
        arrived += name == "arrive"
    now += rest
    reading = m.stats(now, seconds=600)
    assert reading.busy_seconds == pytest.approx(busy + running * rest, abs=1e-6)
    assert reading.waiting_seconds == pytest.approx(waited + waiting * rest, abs=1e-6)
    assert math.floor(now) == math.floor(start) or reading.seconds[0].age == pytest.approx(
        now - math.floor(start) - 1.0
    )  # the oldest second has a row, whatever happened in it
    # What history and the second that has just begun hold is all that there was.
    since = now - math.floor(now)
    history = sum(row.busy for row in reading.seconds)
    assert history <= reading.busy_seconds + 1e-6
    assert reading.busy_seconds - history <= since * max(len(events), 1) + 1e-6
    assert sum(row.arrived for row in reading.seconds) <= arrived
    assert all(row.age >= 0 for row in reading.seconds)
