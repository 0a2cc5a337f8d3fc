"""What the seconds of a backlog count: the load that there would have been without the start-up delay."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.backlog import track_backlog
from autoscaler.decide.backlog_load import BacklogLoad
from autoscaler.decide.state import Backlog
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Sample
from tests.unit.decide.decide_scenarios import START, observation


def counted(
    samples: list[Sample], *, weight: float = 1.0, service_seconds: float | None, over: bool = False
) -> dict[int, float]:
    load = BacklogLoad()
    for sample in samples:
        load.add(*sample)
    return dict(load.corrections(weight, service_seconds, over=over))


@pytest.mark.parametrize(
    ("service_seconds", "expected"),
    [
        pytest.param(0.25, {1: 2.0}, id="eight of a quarter of a second are two at a time for one second"),
        pytest.param(1.0, {1: 8.0}, id="of one second: eight for one second"),
        pytest.param(2.5, {1: 8.0, 2: 8.0, 3: 4.0}, id="of two and a half: eight for as long"),
        pytest.param(60.0, {1: 8.0, 2: 8.0, 3: 8.0, 4: 8.0}, id="of a minute: eight, as long as they are there"),
        pytest.param(None, {1: 8.0, 2: 8.0, 3: 8.0, 4: 8.0}, id="unknown: as measured"),
    ],
)
def test_requests_count_for_their_service_time_from_when_they_arrive(
    service_seconds: float | None, expected: dict[int, float]
) -> None:
    samples = [Sample(second, 8.0, 8.0 if second == 1 else 0.0, 8.0) for second in range(1, 5)]
    assert counted(samples, service_seconds=service_seconds) == expected


def test_what_waits_weighs_no_more_than_draining_it_takes() -> None:
    assert counted([Sample(1, 100.0, 100.0, 96.0)], weight=0.25, service_seconds=10.0) == {1: 28.0}


def test_requests_that_leave_the_hold_for_a_replica_have_not_arrived_again() -> None:
    for between in ([(3, -40.0), (4, 40.0)], [(3, 40.0), (4, -40.0)], [(3, 40.0), (5, -40.0)]):
        samples = [Sample(1, 40.0, 40.0, 40.0), *(Sample(second, 40.0, count) for second, count in between)]
        assert counted(samples, service_seconds=1.0) == {1: 40.0}


def test_what_was_counted_is_put_right_once_the_service_time_is_known() -> None:
    load = BacklogLoad()
    for second in (1, 2, 3):
        load.add(*Sample(second, 10.0, 10.0 if second == 1 else 0.0, 10.0))
    assert dict(load.corrections(1.0, None, over=True)) == {1: 10.0, 2: 10.0, 3: 10.0}
    assert dict(load.corrections(1.0, 0.5, over=True)) == {1: -5.0, 2: -10.0, 3: -10.0}


def test_once_over_and_known_nothing_changes_but_by_a_late_sample() -> None:
    load = BacklogLoad()
    load.add(*Sample(1, 10.0, 10.0, 10.0))
    assert dict(load.corrections(1.0, 1.0, over=True)) == {1: 10.0}
    assert dict(load.corrections(1.0, 9.0, over=True)) == {}
    load.add(*Sample(1, 2.0, 2.0, 2.0))
    assert dict(load.corrections(1.0, 1.0, over=True)) == {1: 2.0}


def test_seconds_that_no_window_holds_are_forgotten() -> None:
    load = BacklogLoad()
    load.add(*Sample(1, 10.0, 10.0, 10.0))
    load.forget(2)
    assert load.settled
    load.add(*Sample(1, 10.0, 10.0, 10.0))
    assert load.settled
    load.add(*Sample(2, 5.0, 5.0, 5.0))
    assert dict(load.corrections(1.0, 1.0, over=False)) == {2: 5.0}


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(10, 20)), st.sets(st.integers(10, 19)), st.integers(5, 25))
def test_the_order_in_which_seconds_are_told_does_not_matter(order: list[int], silent: set[int], oldest: int) -> None:
    """Nor does it that between them nothing was told of some."""
    told = [second for second in order if second not in silent]
    loads = []
    for seconds in (told, sorted(told)):
        load = BacklogLoad()
        for second in seconds:
            load.add(*Sample(second, float(second), second % 4 - 1.0, second / 2))
        load.forget(oldest)
        loads.append(dict(load.corrections(0.5, 2.5, over=True)))
    assert loads[0] == loads[1]
    assert set(loads[0]) <= {second for second in told if second >= oldest}


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 2.5, 7.0]), st.sampled_from([0.0, 0.0, 1.0, 3.0, -1.0])), max_size=40
    ),
    st.sets(st.integers(0, 39)),
    st.sampled_from([0.5, 2.5, 9.0, None]),
    st.integers(0, 20),
)
def test_it_does_not_matter_how_often_was_asked_meanwhile(
    rows: list[tuple[float, float]], asked: set[int], service_seconds: float | None, window: int
) -> None:
    often, once = BacklogLoad(), BacklogLoad()
    counted_often: dict[int, float] = dict.fromkeys(range(len(rows)), 0.0)
    for second, (waiting, arrived) in enumerate(rows):
        often.forget(second - window)
        for load in (often, once):
            load.add(second, waiting + 1.0, arrived, waiting)
        if second in asked:
            for at, more in often.corrections(0.5, service_seconds, over=False):
                counted_often[at] += more
    once.forget(len(rows) - 1 - window)
    for at, more in often.corrections(0.5, service_seconds, over=False):
        counted_often[at] += more
    counted_once = dict(once.corrections(0.5, service_seconds, over=False))
    for second in range(max(0, len(rows) - 1 - window), len(rows)):
        assert counted_often[second] == counted_once.get(second, 0.0)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0.5, 9.0), st.floats(-1.0, 3.0), st.floats(0.0, 12.0)), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(-3, 15), min_size=4, max_size=4),
    st.integers(-2, 20),
)
def test_seconds_taken_together_count_as_one_by_one(
    runs: list[list[tuple[float, float, float]]], gaps: list[int], oldest: int
) -> None:
    together, apart = BacklogLoad(), BacklogLoad()
    for load in (together, apart):
        load.forget(oldest)
    at = 0
    for run, gap in zip(runs, gaps, strict=False):
        at += gap
        together.add_run(at, *zip(*run, strict=True))
        for second, sample in enumerate(run, at):
            apart.add(second, *sample)
        at += len(run)
        assert dict(together.corrections(0.5, 2.5, over=False)) == dict(apart.corrections(0.5, 2.5, over=False))


def test_seconds_of_a_backlog_that_is_not_over_belong_to_the_next_one_too() -> None:
    """They may be told only after the replica that worked it off is gone."""
    gone, ours = observation(START + 22.5, ready=0, starting=1), ScalingPolicy()
    first = START + 5.0
    still_on = track_backlog(ours, Backlog(first=int(first), last=int(START) + 30), gone, START + 20.5, START + 22.5)
    long_over = track_backlog(ours, Backlog(first=int(first), last=int(START) + 10), gone, START + 20.5, START + 22.5)
    assert still_on.seconds == (first, math.inf)
    assert long_over.seconds == (START + 20.0, math.inf)


LOADS = st.floats(0.0, 1e5, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(LOADS, LOADS, st.floats(-1e4, 1e5)), max_size=40), st.floats(0.001, 90.0), st.floats(0.0, 1.0)
)
def test_a_second_counts_between_nothing_and_what_was_measured(
    rows: list[tuple[float, float, float]], service_seconds: float, weight: float
) -> None:
    samples = [Sample(k, running + waiting, rps, waiting) for k, (running, waiting, rps) in enumerate(rows)]
    loads = counted(samples, weight=weight, service_seconds=service_seconds)
    for sample in samples:
        assert 0.0 <= loads.get(sample.second, 0.0) <= sample.concurrency + 1e-5


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.floats(0.001, 20.0))
def test_over_time_each_arrival_counts_its_service_time_once(arrivals: list[int], service_seconds: float) -> None:
    """Little's law: the area is arrivals·S, however long all of them have waited."""
    arrivals += [0] * math.ceil(service_seconds)
    samples = [Sample(k, 1e6, float(count), 1e6) for k, count in enumerate(arrivals)]
    area = math.fsum(counted(samples, service_seconds=service_seconds).values())
    assert area == pytest.approx(sum(arrivals) * service_seconds, rel=1e-3, abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=30), st.lists(st.floats(0.001, 90.0), min_size=1, max_size=9))
def test_what_is_taken_back_leaves_nothing_behind(loads: list[float], service_times: list[float]) -> None:
    """The window would take the smallest remainder for load, and keep a replica for it."""
    backlog, kept = BacklogLoad(), dict.fromkeys(range(len(loads)), 0.0)
    for second, load in enumerate(loads):
        backlog.add(*Sample(second, load, load, load))
    for service_seconds in service_times:
        for second, more in backlog.corrections(1.0, service_seconds, over=False):
            kept[second] += more
    for second, more in backlog.corrections(0.0, 1e-9, over=False):
        kept[second] += more
    assert set(kept.values()) == {0.0}
