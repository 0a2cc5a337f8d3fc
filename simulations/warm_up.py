"""Warm-up: what happened before a moment, taken off what happened in all. A run begins with what no policy chose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from simulations.plant.results import Histogram, Outcome, ServiceResults, Timeline

K = TypeVar("K")
_ARRAYS = tuple(field.name for field in fields(Timeline) if field.name != "width")


def since(now: ServiceResults, then: ServiceResults) -> ServiceResults:
    """What has happened to a service since `then`. Requests that were under way then count where they ended."""
    outcomes = {
        outcome: count if outcome is Outcome.UNFINISHED else count - then.outcomes[outcome]
        for outcome, count in now.outcomes.items()
    }
    return replace(
        now,
        requests=sum(outcomes.values()),
        attempts=now.attempts - then.attempts,
        outcomes=outcomes,
        good=now.good - then.good,
        cold=now.cold - then.cold,
        wait_seconds=now.wait_seconds - then.wait_seconds,
        latency_warm=_less(now.latency_warm, then.latency_warm),
        latency_cold=_less(now.latency_cold, then.latency_cold),
        ttft_warm=_less(now.ttft_warm, then.ttft_warm),
        ttft_cold=_less(now.ttft_cold, then.ttft_cold),
        latency_sum=now.latency_sum - then.latency_sum,
        latency_squares=now.latency_squares - then.latency_squares,
        input_tokens=now.input_tokens - then.input_tokens,
        output_tokens=now.output_tokens - then.output_tokens,
        gpu_seconds=_each_less(now.gpu_seconds, then.gpu_seconds),
        phase_seconds=_each_less(now.phase_seconds, then.phase_seconds),
        starts=now.starts - then.starts,
        failed_starts=now.failed_starts - then.failed_starts,
        reclaimed=now.reclaimed - then.reclaimed,
        raised=now.raised - then.raised,
        lowered=now.lowered - then.lowered,
        reversals=now.reversals - then.reversals,
    )


def bins_after(line: Timeline, seconds: float) -> Timeline:
    """The bins that begin after so many seconds; at least the last."""
    first = min(len(line.demand) - 1, math.ceil(seconds / line.width - 1e-9))
    return Timeline(line.width, *(getattr(line, name)[first:] for name in _ARRAYS))


def _less(now: Histogram, then: Histogram) -> Histogram:
    return Histogram(now.edges, now.counts - then.counts)


def _each_less(now: Mapping[K, float], then: Mapping[K, float]) -> dict[K, float]:
    # Sums of many small times are not exact: what is a hair below nothing is nothing.
    return {key: max(0.0, value - then[key]) for key, value in now.items()}
