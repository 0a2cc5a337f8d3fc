"""A first reading that is read late, by a receiver that has just begun: what it says of the past is told once."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autoscaler.signals.collector import Collector
from queue_proxy.messages import SecondStats, Stats
from tests.unit.signals.collector_sources import ACTIVATOR, REPLICA, START, Proxy, area, by_second, collect

_LATE = [(0.0,), (0.4,), (1.0,), (3.0,), (8.0,), (3.0, 2.5), (8.0, 5.0, 0.3), (1.7, 0.0, 1.0)]
_DRIFT = 0.001  # what is allowed to clocks of two machines makes this difference


def with_history(proxy: Proxy, seconds: int = 63) -> Stats:
    row = SecondStats(0.0, float(proxy.running), float(proxy.waiting), round(proxy.rate))
    return replace(proxy.read(), seconds=tuple(replace(row, age=age + 0.4) for age in reversed(range(seconds))))


def read_late(collector: Collector, proxy: Proxy, late: tuple[float, ...], first: Stats) -> float:
    """As a scraper does: one reading after the other, each so late as is said, then some at once. Returns when the last
    was read."""
    taken, handled = START, START + late[0]
    collector.receive(first, handled)
    for delay in (*late[1:], *[0.0] * 8):
        began = max(taken + 1.0, handled)
        stats = proxy.after(began - taken)
        taken, handled = began, began + delay
        collector.receive(stats, handled)
    return handled


@pytest.mark.parametrize("late", _LATE)
def test_no_second_has_more_or_less_than_there_was(late: tuple[float, ...]) -> None:
    collector, proxy = Collector(5.0), Proxy(running=5, waiting=1, rate=4.0)
    read_late(collector, proxy, late, with_history(proxy))
    samples = by_second(collect(collector, START + 60.0, REPLICA))
    whole = [samples[second] for second in sorted(samples)[1:-1]]
    assert len(whole) > 63
    assert [sample.concurrency for sample in whole] == pytest.approx([6.0] * len(whole), rel=_DRIFT)
    assert [sample.waiting for sample in whole] == pytest.approx([1.0] * len(whole), rel=_DRIFT)
    assert max(sample.rps for sample in whole) < 5.0  # counted in whole requests


@pytest.mark.parametrize("late", _LATE)
def test_a_burst_that_comes_afterwards_counts_as_it_is(late: tuple[float, ...]) -> None:
    collector, proxy = Collector(5.0), Proxy(running=1)
    burst = read_late(collector, proxy, late, with_history(proxy))
    proxy.running = 30
    collector.receive(proxy.after(3.0), burst + 3.0)
    samples = by_second(collect(collector, burst + 4.0, REPLICA))
    second = math.ceil(burst - START)
    assert [samples[second].concurrency, samples[second + 1].concurrency] == pytest.approx([30.0, 30.0], rel=_DRIFT)


@pytest.mark.parametrize("late", [0.0, 0.4, 3.0])
def test_who_enters_a_hold_arrives_whole_as_he_is_taken_off_whole_when_he_leaves_it(late: float) -> None:
    collector, activator = Collector(5.0), Proxy(ACTIVATOR)
    collector.receive(with_history(activator), START + late)
    activator.waiting = 3
    collector.receive(activator.after(4.0), START + 4.0)
    entered = collect(collector, START + 10.0)
    activator.waiting = 0
    collector.receive(activator.after(10.0), START + 14.0)
    left = collect(collector, START + 20.0)
    arrived = [sum(sample.rps for sample in piece.samples) for piece in (entered, left)]
    assert arrived == pytest.approx([3.0, -3.0])


@pytest.mark.parametrize("late", _LATE)
def test_without_a_history_nothing_was_told_and_nothing_is_left_out(late: tuple[float, ...]) -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    read_late(collector, proxy, late, proxy.read())
    assert area(collect(collector, START + 60.0, REPLICA)) == pytest.approx(proxy.busy_seconds)


def test_of_a_source_that_has_restarted_since_nothing_is_left_out() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(with_history(proxy, seconds=10), START + 5.0)
    before = area(collect(collector, START + 5.0, REPLICA), collect(collector, START + 30.0, REPLICA))
    restarted = Proxy(epoch="second", clock=90_000.0, running=2)  # on another machine
    collector.receive(restarted.after(2.0), START + 40.0)
    collector.receive(restarted.after(2.0), START + 40.5)
    told = area(collect(collector, START + 60.0, REPLICA))
    assert [before, told] == pytest.approx([3.0 * 10.4, 2.0 * 4.0])
