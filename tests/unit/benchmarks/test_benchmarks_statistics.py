"""Medians, paired ratios and quantiles of the data path benchmark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.dataplane.summary import Spread, paired, quantile, spread

_FINITE = st.floats(min_value=0.001, max_value=1e9)


def test_nothing_measured_has_no_spread() -> None:
    assert spread([]) is None
    assert paired({1: 2.0}, {2: 1.0}) is None


@given(st.lists(_FINITE, min_size=1))
def test_a_median_lies_within_its_range(values: list[float]) -> None:
    one = spread(values)
    assert one is not None
    assert one.lowest <= one.median <= one.highest
    assert one.count == len(values)


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was twice as slow in round 2; the ratio of medians would be something else.
    assert paired({1: 10.0, 2: 20.0, 3: 10.0}, {1: 40.0, 2: 80.0, 3: 40.0}) == Spread(0.25, 0.25, 0.25, 3)


def test_a_round_with_one_side_missing_or_zero_does_not_count() -> None:
    assert paired({1: 1.0, 2: 5.0, 3: 9.0}, {1: 2.0, 3: 0.0}) == Spread(0.5, 0.5, 0.5, 1)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(share: float, expected: float) -> None:
    assert quantile([float(n) for n in range(100, 0, -1)], share) == expected


@given(st.lists(_FINITE, min_size=1), st.floats(min_value=0.0, max_value=1.0))
def test_a_quantile_is_one_of_the_values_and_covers_its_share(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_no_value_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no value"):
        quantile([], 0.5)


def test_a_single_measurement_shows_no_range() -> None:
    assert Spread(1.26, 1.26, 1.26, 1).text(1) == "1.3"
    assert Spread(2.0, 1.0, 3.0, 3).text() == "2 (1–3)"
