"""What is learned from idle times, and what comes of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.policies.idle_gaps import (
    Hazard,
    HazardSettings,
    Hybrid,
    HybridSettings,
    Stay,
    best_stay,
    coefficient_of_variation,
    histogram_window,
)
from tests.unit.simulations.policies.policy_observations import Told, service


@pytest.mark.parametrize(
    ("gaps", "cost", "stay"),
    [
        pytest.param([10.0] * 5, 100.0, 10.0, id="always short: stay that long"),
        pytest.param([1000.0] * 5, 100.0, 0.0, id="always long: go at once"),
        pytest.param([5.0] * 8 + [5000.0] * 2, 100.0, 5.0, id="bursts: as long as a burst's gaps"),
        pytest.param([90.0, 110.0], 100.0, 0.0, id="not worth it: 100 + 55 is more than 100"),
        pytest.param([40.0, 1e6], 100.0, 40.0, id="(40 + 40 + 100) / 2 is less than 100"),
    ],
)
def test_the_cheapest_stay(gaps: list[float], cost: float, stay: float) -> None:
    assert best_stay(gaps, cost) == stay


@given(st.lists(st.floats(1.0, 5000.0), min_size=1, max_size=30).map(sorted), st.floats(1.0, 5000.0))
def test_no_other_stay_is_cheaper_and_it_is_never_twice_the_optimum(gaps: list[float], cost: float) -> None:
    def paid(stay: float) -> float:
        return sum(min(gap, stay) + (cost if gap > stay else 0.0) for gap in gaps)

    best = paid(best_stay(gaps, cost))
    for other in (0.0, *gaps, cost, math.inf):
        assert best <= paid(other) + 1e-6 * paid(other)
    assert best <= 2.0 * sum(min(gap, cost) for gap in gaps) + 1e-6


def test_a_stay_says_when_it_changes() -> None:
    stay = Stay(0.0, 90.0, 130.0)
    assert [stay.awake(idle) for idle in (0.0, 89.0, 90.0, 129.0, 130.0)] == [False, False, True, True, False]
    assert [stay.next_change(idle) for idle in (0.0, 90.0, 130.0)] == [90.0, 130.0, math.inf]


def test_the_histogram_s_window_is_rounded_outwards() -> None:
    bins = [0] * 240
    bins[10], bins[11], bins[20] = 50, 49, 1
    assert histogram_window(bins, 0.05, 0.99) == (600.0, 720.0)
    assert histogram_window(bins, 0.05, 1.0) == (600.0, 1260.0)


def test_the_variation_of_counts_tells_whether_they_say_anything() -> None:
    assert coefficient_of_variation([5] * 240) == 0.0
    assert coefficient_of_variation([0] * 239 + [5]) == pytest.approx(math.sqrt(239.0))
    assert coefficient_of_variation([0] * 240) == 0.0


def regular(told: Told, turns: int, gap: float) -> None:
    """A request of a few seconds every `gap` seconds."""
    for _ in range(turns):
        told.until(told.at + 4.0, load=1.0)
        told.until(told.at + gap)


def test_the_hazard_rule_stays_for_b_until_it_has_learned() -> None:
    told = Told(Hazard(HazardSettings(penalty=300.0, start=20.0), service()), ready=0)
    told.until(4.0, load=1.0)
    told.until(1000.0)
    (_, awake), (slept, asleep) = told.orders[-2:]
    assert (awake, asleep) == (1, 0)
    assert slept == pytest.approx(4.0 + 320.0, abs=2.0)


def test_the_hazard_rule_goes_at_once_where_nobody_comes_back_in_time() -> None:
    told = Told(Hazard(HazardSettings(penalty=100.0, start=20.0, learn=3), service()), ready=0)
    regular(told, 4, 900.0)
    began = told.at
    told.until(told.at + 4.0, load=1.0)
    told.until(told.at + 300.0)
    assert told.orders[-1][1] == 0
    assert told.orders[-1][0] - began < 10.0


def test_the_hybrid_histogram_comes_back_before_the_next_request() -> None:
    told = Told(Hybrid(HybridSettings(), service()), ready=0)
    regular(told, 8, 1500.0)
    wakes = [at for (_, before), (at, after) in zip(told.orders, told.orders[1:], strict=False) if before < after]
    sleeps = [at for (_, before), (at, after) in zip(told.orders, told.orders[1:], strict=False) if before > after]
    # The last wake came before its request: 1,500 s are the 25th minute, less 10 %.
    last_request_ended = told.at - 1500.0
    assert last_request_ended + 0.9 * 1500.0 - 120.0 < wakes[-1] < last_request_ended + 1500.0
    assert sleeps[-1] < wakes[-1]


def test_the_hybrid_histogram_stays_for_its_range_while_it_knows_nothing() -> None:
    told = Told(Hybrid(HybridSettings(range=1200.0), service()), ready=0)
    told.until(4.0, load=1.0)
    assert told.until(1100.0) == 1
    assert told.until(1300.0) == 0


def test_idle_times_beyond_the_range_are_forecast() -> None:
    told = Told(Hybrid(HybridSettings(range=600.0), service()), ready=0)
    regular(told, 6, 4000.0)
    (wake, awake), (sleep, asleep) = told.orders[-2:] if told.orders[-1][1] == 0 else (*told.orders[-1:], (math.inf, 0))
    last_request_ended = told.at - 4000.0
    assert (awake, asleep) == (1, 0)
    assert wake - last_request_ended == pytest.approx(0.85 * 4000.0, abs=20.0)
    assert sleep > last_request_ended + 4000.0
