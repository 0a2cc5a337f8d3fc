"""When services have their turns to be decided on: once a period, spread over it, and in groups."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
