"""How many replicas Knative asks, and what it makes of fewer answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.signals.sampling import PartialScrape, extrapolate, sample_size


@pytest.mark.parametrize(
    ("population", "asked"),
    [(0, 0), (1, 1), (2, 2), (3, 3), (5, 4), (10, 7), (20, 9), (50, 12), (100, 14), (1000, 16)],
)
def test_the_size_of_the_sample(population: int, asked: int) -> None:
    assert sample_size(population) == asked


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_a_sample_is_never_larger_than_what_there_is_and_never_empty(population: int) -> None:
    assert min(1, population) <= sample_size(population) <= population


@pytest.mark.parametrize(
    ("answers", "partial", "total"),
    [
        pytest.param([2.0] * 7, PartialScrape.DISCARDED, 20.0, id="enough answers stand for all"),
        pytest.param([2.0] * 6, PartialScrape.DISCARDED, None, id="Knative throws one too few away"),
        pytest.param([2.0] * 6, PartialScrape.WEIGHTED, 20.0, id="ours lets each stand for more"),
        pytest.param([1.0, 3.0], PartialScrape.WEIGHTED, 20.0, id="as their mean"),
        pytest.param([], PartialScrape.WEIGHTED, None, id="nobody answered: unknown, not zero"),
    ],
)
def test_ten_replicas_from_the_answers_of_some(
    answers: list[float], partial: PartialScrape, total: float | None
) -> None:
    assert extrapolate(answers, 10, partial) == total


def test_without_replicas_there_is_nothing_to_know() -> None:
    assert extrapolate([], 0, PartialScrape.DISCARDED) == 0.0
