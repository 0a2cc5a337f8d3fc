"""What a Decider that begins need not be told: whatever is older than `seconds_remembered` changes no decision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.decider import Decider, seconds_remembered
from autoscaler.decide.decision import Decision
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Sample
from autoscaler.signals.reading import Known
from tests.unit.decide.decide_scenarios import START, knative_policy, observation

OURS = ScalingPolicy(target=4.0)
POLICIES = [
    OURS,
    replace(OURS, stable_window_seconds=6.0),
    replace(OURS, stable_window_seconds=120.0),
    replace(OURS, metric=Metric.RPS),
    knative_policy(stable_window_seconds=6.0, panic_window_fraction=1.0),
]
_HISTORY = 200


def decisions(policy: ScalingPolicy, history: tuple[Sample, ...], ready: int, late: int) -> list[Decision]:
    """The first ones, of a service whose load then goes on; the history ends `late` seconds ago."""
    decider, told = Decider("default/chat", policy), history
    made = []
    for number in range(5):
        at = START + late + 0.5 + 2.0 * number
        made.append(
            decider.step(
                observation(at, samples=told, ready=ready, wanted=ready, in_flight=Known(3.0), service_seconds=1.0)
            )
        )
        told = tuple(Sample(START + 2 * number + second, 3.0, 3.0) for second in (0, 1))
    return made


@settings(max_examples=60, deadline=None)
@given(
    policy=st.sampled_from(POLICIES),
    loads=st.lists(st.integers(0, 50).map(float), min_size=_HISTORY, max_size=_HISTORY),  # their sums are exact
    ready=st.integers(0, 4),
    late=st.integers(0, 2),
)
def test_what_is_older_changes_no_decision(policy: ScalingPolicy, loads: list[float], ready: int, late: int) -> None:
    whole = tuple(Sample(START - _HISTORY + at, load, load, load / 2) for at, load in enumerate(loads))
    remembered = whole[-seconds_remembered(policy) :]
    assert decisions(policy, remembered, ready, late) == decisions(policy, whole, ready, late)


@pytest.mark.parametrize("window", [6.0, 60.0, 3_600.0])
def test_no_more_is_remembered_than_the_longest_window(window: float) -> None:
    assert seconds_remembered(replace(OURS, stable_window_seconds=window)) == window + 3


def test_who_came_while_the_first_replica_starts_is_remembered_however_long_ago() -> None:
    assert seconds_remembered(replace(OURS, asleep_at_first=True)) == 3_600
