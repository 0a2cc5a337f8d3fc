"""From Stats to samples: nothing lost, nothing counted twice."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import Sample
from autoscaler.signals.reading import Known
from queue_proxy.messages import SecondStats, Stats
from tests.unit.signals.collector_sources import ACTIVATOR, REPLICA, START, Proxy, area, by_second, collect


def test_the_difference_of_two_readings_is_what_happened_between_them() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3, waiting=2, rate=4.0)
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(2.0), START + 2.0)
    samples = by_second(collect(collector, START + 2.0, REPLICA))
    assert samples == {0: Sample(0, 5.0, 4.0, 2.0), 1: Sample(1, 5.0, 4.0, 2.0)}


def test_a_lost_scrape_loses_nothing() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(1.0), START + 1.0)
    proxy.after(1.0)
    proxy.after(1.0)
    first = collect(collector, START + 3.5, REPLICA)
    collector.receive(proxy.after(1.0), START + 4.0)
    second = collect(collector, START + 4.0, REPLICA)
    assert [s.second - START for s in second.samples] == [1.0, 2.0, 3.0]
    assert {s: sample.concurrency for s, sample in by_second(first, second).items()} == dict.fromkeys(range(4), 3.0)


def test_an_idle_source_says_zero_and_a_silent_one_says_nothing() -> None:
    collector, proxy = Collector(5.0), Proxy()
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(1.0), START + 1.0)
    assert collect(collector, START + 1.0, REPLICA).samples == (Sample(int(START), 0.0, 0.0, 0.0),)
    assert collect(collector, START + 2.0, REPLICA).samples == ()


def test_a_second_is_handed_on_once_everybody_has_told_of_it() -> None:
    collector, one, two = Collector(5.0), Proxy(running=1), Proxy(source="chat-2", running=2)
    for proxy in (one, two):
        collector.receive(proxy.read(), START)
    collector.receive(one.after(1.2), START + 1.2)
    collector.receive(two.after(0.7), START + 0.7)
    assert collect(collector, START + 1.2, REPLICA, "chat-2").samples == ()
    collector.receive(two.after(0.8), START + 1.5)
    samples = collect(collector, START + 1.5, REPLICA, "chat-2").samples
    assert [sample.concurrency for sample in samples] == [pytest.approx(3.0)]


def test_but_nobody_is_waited_for_longer_than_two_seconds() -> None:
    collector, one, two = Collector(5.0), Proxy(running=1), Proxy(source="chat-2", running=2)
    for proxy in (one, two):
        collector.receive(proxy.read(), START)
    collector.receive(one.after(3.5), START + 3.5)
    early = collect(collector, START + 3.5, REPLICA, "chat-2")
    assert {s: x.concurrency for s, x in by_second(early).items()} == {0: pytest.approx(1.0)}
    collector.receive(two.after(4.0), START + 4.0)
    collector.receive(one.after(0.5), START + 4.0)
    late = collect(collector, START + 4.0, REPLICA, "chat-2")
    assert {s: x.concurrency for s, x in by_second(early, late).items()} == {k: pytest.approx(3.0) for k in range(4)}


def test_a_replica_that_is_gone_is_not_waited_for() -> None:
    collector, stays, goes = Collector(5.0), Proxy(running=1), Proxy(source="chat-2", running=2)
    for proxy in (stays, goes):
        collector.receive(proxy.read(), START)
    collector.receive(goes.after(0.5), START + 0.5)
    collector.receive(stays.after(1.2), START + 1.2)
    samples = collect(collector, START + 1.2, REPLICA).samples
    assert [sample.concurrency for sample in samples] == [pytest.approx(2.0)]


def test_of_an_activator_only_what_waits_is_load() -> None:
    collector, activator, replica = Collector(5.0), Proxy(source=ACTIVATOR, running=4, waiting=2), Proxy(running=4)
    for proxy in (activator, replica):
        collector.receive(proxy.read(), START)
        collector.receive(proxy.after(1.0), START + 1.0)
    samples = by_second(collect(collector, START + 1.0, REPLICA))
    assert (samples[0].concurrency, samples[0].waiting) == (6.0, 2.0)


def test_a_request_that_passes_the_hold_arrives_once() -> None:
    collector = Collector(5.0)
    held = Stats(source=ACTIVATOR, epoch="e", at=10.0, arrived=50)
    replica = Stats(source=REPLICA, epoch="e", at=10.0, arrived=50)
    for stats in (held, replica):
        collector.receive(stats, START)
    collector.receive(replace(held, at=11.0, arrived=53, waiting=3), START + 1.0)
    collector.receive(replace(replica, at=11.0), START + 1.0)
    collector.receive(replace(held, at=12.0, arrived=53, running=3), START + 2.0)
    collector.receive(replace(replica, at=12.0, arrived=53, running=3), START + 2.0)
    arrived = {s: x.rps for s, x in by_second(collect(collector, START + 2.0, REPLICA)).items()}
    assert arrived == {0: 3.0, 1: 0.0}


def test_a_restarted_source_begins_at_zero_and_nothing_it_counts_is_lost() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    proxy.busy_seconds = 1_000.0
    collector.receive(proxy.read(), START)
    restarted = Proxy(epoch="second", clock=1.0, running=2)
    collector.receive(restarted.after(1.0), START + 2.0)
    assert area(collect(collector, START + 2.0, REPLICA)) == pytest.approx(2.0)
    collector.receive(proxy.after(1.0), START + 2.1)  # a reading of the old epoch that was under way
    collector.receive(restarted.after(1.0), START + 3.0)
    assert area(collect(collector, START + 3.0, REPLICA)) == pytest.approx(2.0)


def test_a_reading_that_was_overtaken_says_nothing_new() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(proxy.read(), START)
    older, newer = proxy.after(1.0), proxy.after(1.0)
    collector.receive(newer, START + 2.0)
    collector.receive(older, START + 2.1)
    assert area(collect(collector, START + 2.1, REPLICA)) == pytest.approx(6.0)


def test_counters_that_fall_within_an_epoch_are_not_believed() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3, busy_seconds=100.0)
    collector.receive(proxy.read(), START)
    collector.receive(replace(proxy.after(1.0), busy_seconds=5.0), START + 1.0)
    assert area(collect(collector, START + 1.0, REPLICA)) == 0.0


def test_numbers_beyond_all_honesty_stay_finite() -> None:
    collector, proxy = Collector(5.0), Proxy()
    collector.receive(proxy.read(), START)
    collector.receive(replace(proxy.after(1.0), busy_seconds=1e308, waiting_seconds=1e308), START + 1.0)
    assert area(collect(collector, START + 1.0, REPLICA)) <= 2e6


def test_a_delayed_message_does_not_move_the_load_of_its_time() -> None:
    collector, proxy = Collector(5.0), Proxy(running=10)
    collector.receive(proxy.read(), START)
    for second in (1.0, 2.0):
        collector.receive(proxy.after(1.0), START + second)
    delayed = proxy.after(1.0)
    collector.receive(delayed, START + 3.9)
    collector.receive(proxy.after(1.0), START + 4.0)
    samples = by_second(collect(collector, START + 4.0, REPLICA))
    assert [samples[s].concurrency for s in range(4)] == pytest.approx([10.0] * 4, rel=0.01)


def test_history_fills_the_seconds_before_a_source_was_first_heard() -> None:
    collector, proxy = Collector(5.0), Proxy(running=4, busy_seconds=1_000.0)
    rows = tuple(SecondStats(age=float(age), busy=4.0, waited=1.0, arrived=7) for age in range(59, -1, -1))
    collector.receive(replace(proxy.read(), seconds=rows), START)
    piece = collect(collector, START, REPLICA)
    assert len(piece.samples) == 60
    assert {(s.concurrency, s.rps, s.waiting) for s in piece.samples} == {(5.0, 7.0, 1.0)}
    collector.receive(replace(proxy.after(1.0), seconds=rows), START + 1.0)
    assert area(collect(collector, START + 1.0, REPLICA)) == pytest.approx(4.0)  # history is believed once


def test_an_urgent_push_counts_at_once_though_it_has_no_area_yet() -> None:
    collector, activator = Collector(5.0), Proxy(source=ACTIVATOR)
    collector.receive(activator.read(), START)
    activator.after(0.5)
    activator.waiting = 1
    collector.receive(activator.read(), START + 0.5, urgent=True)
    piece = collect(collector, START + 0.5)
    assert piece.samples == (Sample(int(START), 1.0, 1.0, 1.0),)
    assert piece.held == Known(1.0, 0.0)


def test_what_was_announced_is_discounted_from_what_the_source_then_reports() -> None:
    collector, activator = Collector(5.0), Proxy(source=ACTIVATOR)
    collector.receive(activator.read(), START)
    activator.after(0.5)
    activator.waiting = 1
    collector.receive(activator.read(), START + 0.5, urgent=True)
    pieces = [collect(collector, START + 0.5)]
    collector.receive(activator.after(0.5), START + 1.0)
    collector.receive(activator.after(1.0), START + 2.0)
    pieces.append(collect(collector, START + 2.0))
    samples = by_second(*pieces)
    assert samples[0] == Sample(0, 1.0, 1.0, 1.0)  # not 1.5
    assert samples[1].concurrency == pytest.approx(1.0)


def test_several_urgent_pushes_in_one_second_announce_what_is_held_and_no_more() -> None:
    collector, activator = Collector(5.0), Proxy(source=ACTIVATOR)
    collector.receive(activator.read(), START)
    pieces = []
    for waiting in (1, 2, 3):
        stats = activator.after(0.1)
        activator.waiting = waiting
        collector.receive(replace(stats, waiting=waiting), START + waiting / 10, urgent=True)
        pieces.append(collect(collector, START + waiting / 10))
    assert area(*pieces) == 3.0
    assert math.fsum(sample.rps for piece in pieces for sample in piece.samples) == 3.0


def test_a_first_push_that_is_urgent_counts_too() -> None:
    collector = Collector(5.0)
    collector.receive(Proxy(source=ACTIVATOR, waiting=2, waiting_seconds=900.0).read(), START, urgent=True)
    assert collect(collector, START).samples == (Sample(int(START), 2.0, 2.0, 2.0),)


def test_a_gone_replica_is_forgotten_after_its_last_counts() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(1.0), START + 1.0)
    piece = collect(collector, START + 1.0)
    assert area(piece) == 3.0
    assert piece.in_flight == Known(0.0, 0.0)
    collector.receive(proxy.after(0.5), START + 1.5)  # the scrape that was under way
    assert area(collect(collector, START + 4.0)) == pytest.approx(1.5)
    collect(collector, START + 200.0)
    collector.receive(proxy.after(200.0), START + 201.5)
    assert area(collect(collector, START + 204.0)) == 0.0, "what it did since is not known any more"


INTERVALS = st.lists(
    st.tuples(st.floats(0.05, 4.0), st.integers(0, 20), st.integers(0, 5), st.floats(0, 0.5)), max_size=25
)


@settings(deadline=None, max_examples=60)
@given(INTERVALS)
def test_every_request_second_is_counted_exactly_once(intervals: list[tuple[float, int, int, float]]) -> None:
    collector, proxy, now = Collector(5.0), Proxy(), START
    collector.receive(proxy.read(), START)
    pieces = []
    for seconds, running, waiting, delay in intervals:
        proxy.running, proxy.waiting = running, waiting
        stats = proxy.after(seconds)
        now += seconds
        collector.receive(stats, now + delay)
        pieces.append(collect(collector, now + delay, REPLICA))
    pieces.append(collect(collector, now + 10.0, REPLICA))
    assert area(*pieces) == pytest.approx(proxy.busy_seconds + proxy.waiting_seconds, abs=1e-6)
