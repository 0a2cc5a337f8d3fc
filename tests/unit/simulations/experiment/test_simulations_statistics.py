"""Intervals: that they hold what they say, and that pairing makes them narrow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.statistics import Hourly, Method, by_hours, interval, paired


def test_the_interval_is_students() -> None:
    # Textbook: n = 5, mean 3, s = 1.5811; t(0.975, 4) = 2.7764; half = 1.9633.
    mean, low, high = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert (low, high) == pytest.approx((3.0 - 1.9633, 3.0 + 1.9633), abs=1e-3)


def test_one_run_has_no_interval_and_nothing_is_said_of_it() -> None:
    difference = paired([1.0], [2.0])
    assert difference.mean == -1.0
    assert difference.method is Method.NONE
    assert difference.distinguishable is None


def test_about_95_of_100_intervals_hold_the_true_mean() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        _, low, high = interval(random.normal(2.0, 1.0, 6).tolist())
        held += low <= 2.0 <= high
    assert 930 <= held <= 970


def test_what_seeds_have_in_common_does_not_widen_a_difference() -> None:
    common = [10.0, 50.0, 30.0, 80.0]
    difference = paired([value - 1.0 + error for value, error in zip(common, (0.1, -0.1, 0, 0), strict=True)], common)
    assert difference.distinguishable
    assert difference.low < -1.0 < difference.high < 0.0


def test_noise_around_nothing_is_not_distinguishable() -> None:
    assert paired([1.0, 2.0, 3.0], [2.0, 1.0, 3.0]).distinguishable is False


def test_a_seed_without_a_value_is_left_out() -> None:
    assert paired([1.0, math.nan, 2.0], [0.0, 5.0, 1.0]).runs == 2


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    mean, low, high = interval(values)
    assert low <= mean <= high


def _hours(gpu_hours: np.ndarray[tuple[int], np.dtype[np.float64]], missed: float = 0.0) -> Hourly:
    ended = np.full(len(gpu_hours), 1000.0)
    return Hourly(gpu_hours, ended, ended * (1.0 - missed))


def test_hours_that_always_differ_are_told_apart() -> None:
    random = np.random.default_rng(2)
    load = random.uniform(5.0, 50.0, 48)
    cost, attainment = by_hours(_hours(load - 1.0), _hours(load))
    assert cost.method is Method.HOURS
    assert cost.mean == pytest.approx(-48.0)
    assert cost.distinguishable
    assert attainment.mean == 0.0
    assert attainment.distinguishable is False


def test_hours_that_differ_either_way_are_not_told_apart() -> None:
    random = np.random.default_rng(3)
    load = np.full(48, 10.0)
    cost, _ = by_hours(_hours(load + random.normal(0.0, 1.0, 48)), _hours(load))
    assert cost.distinguishable is False


def test_a_few_hours_are_too_few_to_resample() -> None:
    cost, _ = by_hours(_hours(np.full(6, 1.0)), _hours(np.full(6, 2.0)))
    assert cost.method is Method.NONE
    assert cost.mean == -6.0
