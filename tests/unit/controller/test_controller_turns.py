"""When services are decided on, and replicas read: once a period each, and together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.controller.readings.scrape import due_after
from autoscaler.controller.service.tasks import next_turn


@given(st.sampled_from([0.2, 2.0]), st.floats(0.0, 1e7))
def test_a_turn_comes_within_a_period(period: float, after: float) -> None:
    turn = next_turn(period, after)
    assert after - 1e-6 <= turn <= after + period + 1e-6


@given(st.floats(0.0, 1e6))
def test_from_one_turn_to_the_next_is_one_period(after: float) -> None:
    turn = next_turn(2.0, after)
    assert next_turn(2.0, turn + 0.001) - turn == pytest.approx(2.0, abs=1e-6)


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_all_services_have_the_same_turns(one: float, another: float) -> None:
    apart = (next_turn(2.0, one) - next_turn(2.0, another)) / 2.0
    assert apart == pytest.approx(round(apart), abs=1e-6)


@given(st.sampled_from([0.02, 0.25, 1.0]), st.floats(0.0, 1e6))
def test_a_replica_is_read_again_after_about_the_interval(interval: float, began: float) -> None:
    assert due_after(began, interval) == pytest.approx(began + interval, abs=0.026 if interval > 0.1 else 1e-6)


@given(st.floats(0.0, 1e6), st.floats(0.0, 0.02))
def test_replicas_are_read_together_and_stay_so(began: float, late: float) -> None:
    due = due_after(began, 1.0)
    assert due_after(due + late, 1.0) == pytest.approx(due + 1.0, abs=1e-6)


def test_moments_at_which_replicas_are_read_are_few() -> None:
    assert len({round(due_after(number / 1_000, 1.0), 6) for number in range(1_000)}) == 21
