"""History whose silence is left out leads to the decisions that the whole one leads to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision
from autoscaler.policy.scaling_policy import Aggregation, ScalingPolicy
from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import ReplicaCounts
from queue_proxy.messages import SecondStats, Stats

_NOW = 1_700_000_000.3
_POLICIES = [
    ScalingPolicy(target=1.0, stable_window_seconds=window, aggregation=aggregation, scale_down_delay_seconds=0.0)
    for window in (6.0, 20.0)
    for aggregation in Aggregation
]
_silence = st.integers(1, 45).map(lambda seconds: [(0.0, 0.0, 0)] * seconds)
_work = st.lists(
    st.tuples(st.sampled_from([0.25, 1.0, 20.0]), st.sampled_from([0.0, 3.0]), st.integers(0, 5)), max_size=5
)


def decisions(source: str, rows: Sequence[SecondStats], policy: ScalingPolicy) -> list[Decision]:
    """On a first reading with this history, and on silence from then on."""
    collector, decider, made = Collector(stale_after_seconds=10.0), Decider("default/chat", policy), []
    for after in range(0, 30, 2):
        stats = Stats(source, "epoch", 900.0 + after, seconds=() if after else tuple(rows))
        collector.receive(stats, _NOW + after)
        observation = collector.collect(
            _NOW + after + 0.5, ready=(source,), present=(source,), replicas=ReplicaCounts(1, 1), ever_ready=True
        )
        made.append(decider.step(observation))
    return made


@pytest.mark.parametrize("policy", _POLICIES)
@pytest.mark.parametrize("source", ["chat-1", "activator/a"])
@given(parts=st.lists(st.tuples(_silence, _work), min_size=1, max_size=4), part=st.sampled_from([0.0, 0.25, 0.9]))
def test_of_a_silence_the_first_and_the_last_second_are_enough(
    source: str,
    policy: ScalingPolicy,
    parts: list[tuple[list[tuple[float, float, int]], list[tuple[float, float, int]]]],
    part: float,
) -> None:
    seconds = [row for silence, work in parts for row in (*silence, *work)]
    whole = [SecondStats(part + len(seconds) - 1 - at, *row) for at, row in enumerate(seconds)]
    silent = [not any(row) for row in seconds]
    told = [
        row for at, row in enumerate(whole) if not all(silent[max(0, at - 1) : at + 2]) or at in (0, len(whole) - 1)
    ]
    assert decisions(source, told, policy) == decisions(source, whole, policy)
