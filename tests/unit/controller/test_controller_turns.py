"""When services are decided on, and replicas read: once a period each, spread over it, and in groups."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.controller.readings.scrape import due_after
from autoscaler.controller.service.tasks import next_turn

NAMES = [f"team-{number % 7}/model-{number}" for number in range(1_000)]


@given(st.text(min_size=1), st.sampled_from([0.2, 2.0]), st.floats(0.0, 1e7))
def test_a_turn_comes_within_a_period(service: str, period: float, after: float) -> None:
    turn = next_turn(service, period, after)
    assert after - 1e-6 <= turn <= after + period + 1e-6


@given(st.text(min_size=1), st.floats(0.0, 1e6))
def test_from_one_turn_to_the_next_is_one_period(service: str, after: float) -> None:
    turn = next_turn(service, 2.0, after)
    assert next_turn(service, 2.0, turn + 0.001) - turn == pytest.approx(2.0, abs=1e-6)


def test_services_share_few_turns_and_no_turn_has_many_of_them() -> None:
    turns = Counter(round(next_turn(name, 2.0, 100.0), 6) for name in NAMES)
    assert len(turns) == 20
    assert max(turns.values()) < 100


@given(st.sampled_from([0.02, 0.25, 1.0]), st.floats(0.0, 1e6))
def test_a_replica_is_read_again_after_about_the_interval(interval: float, began: float) -> None:
    assert due_after(began, interval) == pytest.approx(began + interval, abs=0.026 if interval > 0.1 else 1e-6)


@given(st.floats(0.0, 1e6), st.floats(0.0, 0.02))
def test_replicas_are_read_together_and_stay_so(began: float, late: float) -> None:
    due = due_after(began, 1.0)
    assert due_after(due + late, 1.0) == pytest.approx(due + 1.0, abs=1e-6)


def test_moments_at_which_replicas_are_read_are_few() -> None:
    assert len({round(due_after(number / 1_000, 1.0), 6) for number in range(1_000)}) == 21
