"""History whose silence is left out fills windows as the whole one does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policy.scaling_policy import Aggregation
from autoscaler.signals.collector import Collector
from autoscaler.signals.windows import make_window
from queue_proxy.messages import SecondStats, Stats

_NOW, _LENGTH = 1_700_000_000.3, 20
_A_SECOND = st.sampled_from([(0.0, 0.0, 0), (0.0, 0.0, 0), (0.0, 0.0, 0), (1.0, 0.0, 2), (0.25, 3.0, 0)])


def averages(source: str, rows: Sequence[SecondStats], aggregation: Aggregation) -> list[float]:
    """What a window says from then on that was filled with the samples of one first reading."""
    collector, window = Collector(stale_after_seconds=10.0), make_window(_LENGTH, aggregation)
    collector.receive(Stats(source, "epoch", 900.0, seconds=tuple(rows)), _NOW)
    observation = collector.collect(_NOW + 1.0, ready=(source,), present=(source,))
    for sample in observation.samples:
        window.record(sample.second, sample.concurrency)
    return [window.average(math.floor(_NOW) + later) for later in range(2 * _LENGTH)]


@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize("source", ["chat-1", "activator/a"])
@given(seconds=st.lists(_A_SECOND, min_size=1, max_size=40), part=st.floats(0.0, 0.99))
def test_of_a_silence_the_first_and_the_last_second_are_enough(
    source: str, aggregation: Aggregation, seconds: list[tuple[float, float, int]], part: float
) -> None:
    whole = [SecondStats(part + len(seconds) - 1 - at, *row) for at, row in enumerate(seconds)]
    silent = [not any(row) for row in seconds]
    told = [
        row for at, row in enumerate(whole) if not all(silent[max(0, at - 1) : at + 2]) or at in (0, len(whole) - 1)
    ]
    assert averages(source, told, aggregation) == pytest.approx(averages(source, whole, aggregation), abs=1e-9)
