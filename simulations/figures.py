"""Figures: what is counted of a run, in one table. Tables, JSON, CSV, statistics and the report all read it, so that no
two of them can mean different things by one name.

A figure is a number of a run after its warm-up, of all services together or of one. NaN: there is nothing to count
(no request was cold, so there is no percentile of the cold ones).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from simulations.counted import Counted
from simulations.plant.results import GpuUse, Histogram, Outcome
from simulations.scenario import StartPhase


class Better(Enum):
    """Which way is good."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"


class Unit(Enum):
    """What a figure counts."""

    COUNT = "count"
    SHARE = "share"
    SECONDS = "seconds"
    HOURS = "GPU-hours"
    USD = "USD"
    PER_HOUR = "per hour"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `key` is its name in JSON and CSV; `of` takes it from what was counted."""

    key: str
    title: str
    unit: Unit
    better: Better
    group: str
    of: Callable[[Counted], float]


def _latency(share: float, which: Callable[[Counted], Histogram]) -> Callable[[Counted], float]:
    return lambda counted: which(counted).quantile(share)


def _outcome(*outcomes: Outcome) -> Callable[[Counted], float]:
    return lambda counted: float(sum(counted.outcomes[outcome] for outcome in outcomes))


def _hours(*uses: GpuUse) -> Callable[[Counted], float]:
    return lambda counted: sum(counted.gpu_seconds[use] for use in uses) / 3600.0


def _phase(phase: StartPhase) -> Callable[[Counted], float]:
    return lambda counted: ratio(counted.phase_seconds[phase], counted.starts)


def ratio(of: float, to: float) -> float:
    """NaN where there is nothing to divide by."""
    return of / to if to else math.nan


def _percentiles(what: str, title: str, group: str, which: Callable[[Counted], Histogram]) -> list[Figure]:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"))
    return [
        Figure(
            f"{what}_{name.replace('.', '_')}", f"{title}, {name}", Unit.SECONDS, Better.LESS, group,
            _latency(share, which),
        )
        for share, name in shares
    ]  # fmt: skip


_ALL_HOURS = tuple(GpuUse)
_SERVED, _LATENCY, _STARTS, _COST, _SCALE = "requests", "latency", "starts", "cost", "scaling"
_L, _M, _N = Better.LESS, Better.MORE, Better.NEITHER

FIGURES: tuple[Figure, ...] = (
    Figure("requests", "requests", Unit.COUNT, _N, _SERVED, lambda c: float(c.requests)),
    Figure("attempts", "attempts, with repeated ones", Unit.COUNT, _L, _SERVED, lambda c: float(c.attempts)),
    Figure("attainment", "SLO attainment", Unit.SHARE, _M, _SERVED, lambda c: ratio(c.good, c.ended)),
    Figure("worst_window", "SLO attainment, worst 5 minutes", Unit.SHARE, _M, _SERVED, lambda c: c.worst_window),
    Figure("completed", "completed", Unit.COUNT, _M, _SERVED, _outcome(Outcome.COMPLETED)),
    Figure(
        "refused_no_endpoint", "refused with 503, nothing ready", Unit.COUNT, _L, _SERVED,
        _outcome(Outcome.REFUSED_NO_ENDPOINT),
    ),
    Figure("refused_full", "refused with 429, replicas full", Unit.COUNT, _L, _SERVED, _outcome(Outcome.REFUSED_FULL)),
    Figure("timed_out", "given up by their clients", Unit.COUNT, _L, _SERVED, _outcome(Outcome.TIMED_OUT)),
    Figure("cut", "cut off with their replica (502)", Unit.COUNT, _L, _SERVED, _outcome(Outcome.CUT)),
    Figure("unfinished", "not finished at the end", Unit.COUNT, _N, _SERVED, lambda c: float(c.requests - c.ended)),
    Figure(
        "latency_mean", "latency, mean", Unit.SECONDS, _L, _LATENCY,
        lambda c: ratio(c.latency_sum, c.outcomes[Outcome.COMPLETED]),
    ),
    *_percentiles("latency", "latency", _LATENCY, lambda c: c.latency_warm + c.latency_cold),
    *_percentiles("latency_warm", "latency, a replica was ready", _LATENCY, lambda c: c.latency_warm),
    *_percentiles("latency_cold", "latency, none was ready", _LATENCY, lambda c: c.latency_cold),
    *_percentiles("ttft", "time to first token", _LATENCY, lambda c: c.ttft_warm + c.ttft_cold),
    *_percentiles("ttft_warm", "time to first token, a replica was ready", _LATENCY, lambda c: c.ttft_warm),
    *_percentiles("ttft_cold", "time to first token, none was ready", _LATENCY, lambda c: c.ttft_cold),
    Figure(
        "wait_mean", "wait before an engine began, mean", Unit.SECONDS, _L, _LATENCY,
        lambda c: ratio(c.wait_seconds, c.outcomes[Outcome.COMPLETED]),
    ),
    Figure("waited", "requests that came while none was ready", Unit.COUNT, _L, _STARTS, lambda c: float(c.cold)),
    Figure("waited_share", "share of them", Unit.SHARE, _L, _STARTS, lambda c: ratio(c.cold, c.requests)),
    Figure("starts", "cold starts", Unit.COUNT, _L, _STARTS, lambda c: float(c.starts)),
    Figure("failed_starts", "starts that failed", Unit.COUNT, _L, _STARTS, lambda c: float(c.failed_starts)),
    Figure("reclaimed", "replicas whose node was taken back", Unit.COUNT, _N, _STARTS, lambda c: float(c.reclaimed)),
    *(
        Figure(
            f"start_{phase.value}", f"{phase.value}, mean of a start", Unit.SECONDS, _L, _STARTS, _phase(phase)
        )
        for phase in StartPhase
    ),
    Figure("gpu_hours", "GPU-hours", Unit.HOURS, _L, _COST, _hours(*_ALL_HOURS)),
    *(
        Figure(f"gpu_hours_{use.value}", f"GPU-hours {use.value}", Unit.HOURS, _N, _COST, _hours(use))
        for use in GpuUse
    ),
    Figure("usd", "USD", Unit.USD, _L, _COST, lambda c: c.usd),
    Figure(
        "usd_per_1k_requests", "USD per 1,000 requests", Unit.USD, _L, _COST,
        lambda c: 1e3 * ratio(c.usd, c.outcomes[Outcome.COMPLETED]),
    ),
    Figure(
        "usd_per_1m_tokens", "USD per 1 M output tokens", Unit.USD, _L, _COST,
        lambda c: 1e6 * ratio(c.usd, c.output_tokens),
    ),
    Figure(
        "goodput", "good requests per GPU-hour", Unit.PER_HOUR, _M, _COST, lambda c: ratio(c.good, c.gpu_hours)
    ),
    Figure(
        "utilization", "share of GPU time with work", Unit.SHARE, _M, _COST,
        lambda c: ratio(c.gpu_seconds[GpuUse.SERVING] / 3600.0, c.gpu_hours),
    ),
    Figure(
        "churn", "replicas ordered or given back", Unit.PER_HOUR, _L, _SCALE, lambda c: (c.raised + c.lowered) / c.hours
    ),
    Figure("reversals", "changes of direction", Unit.PER_HOUR, _L, _SCALE, lambda c: c.reversals / c.hours),
    Figure("under_time", "too few ready, share of time", Unit.SHARE, _L, _SCALE, lambda c: c.provision.under_time),
    Figure("under_volume", "missing, of what was needed", Unit.RATIO, _L, _SCALE, lambda c: c.provision.under_volume),
    Figure("over_time", "more ready than needed, share of time", Unit.SHARE, _L, _SCALE,
           lambda c: c.provision.over_time),
    Figure("over_volume", "unneeded, of what was needed", Unit.RATIO, _L, _SCALE, lambda c: c.provision.over_volume),
    Figure("bursts", "bursts", Unit.COUNT, _N, _SCALE, lambda c: float(c.bursts.count)),
    Figure("burst_added", "from burst to first added replica, median", Unit.SECONDS, _L, _SCALE,
           lambda c: c.bursts.added),
    Figure("burst_recovered", "from burst to recovery, median", Unit.SECONDS, _L, _SCALE,
           lambda c: c.bursts.recovered),
)  # fmt: skip

BY_KEY: Mapping[str, Figure] = {figure.key: figure for figure in FIGURES}
# Of the comparison with the bound: only there where a bound was computed, and only of all services together.
CLAIRVOYANT = "clairvoyant_ratio"


def figures_of(counted: Counted) -> dict[str, float]:
    """Every figure."""
    return {figure.key: float(figure.of(counted)) for figure in FIGURES}


def shown(value: float, unit: Unit) -> str:
    """A figure for people."""
    if math.isnan(value):
        return "–"
    match unit:
        case Unit.COUNT:
            return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
        case Unit.SHARE:
            return share_shown(value)
        case Unit.SECONDS:
            return seconds_shown(value)
        case Unit.USD:
            return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"
        case _:
            return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def share_shown(value: float) -> str:
    """In per cent, with as many nines as there are; 100 % is all of them. NaN is –, for nothing to count."""
    if math.isnan(value):
        return "–"
    if value >= 1.0 or value <= 0.0:
        return f"{100 * value:.0f} %"
    digits = 1 if value < 0.99 else min(5, max(2, math.ceil(-math.log10(1.0 - value) - 1e-9) - 2))
    rounded = math.floor(value * 10 ** (digits + 2) + 1e-6) / 10**digits
    return f"{rounded:.{digits}f} %"


def seconds_shown(value: float) -> str:
    """Three digits, in a unit that suits."""
    if value < 1.0:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 1000 else f"{value / 60:,.0f} min"


def mean_of(values: Sequence[float]) -> float:
    """The mean of those that are numbers; NaN without any."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
