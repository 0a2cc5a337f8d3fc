"""Study: everything that was found, and everything that it was found with; what all outputs are written from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulations.comparison import Comparison, Estimate
from simulations.experiment import Experiment, Outcome
from simulations.statistics import interval

# What a reader must not expect: said in every report, because a simulator is believed beyond what it knows.
NOT_MODELLED = (
    "failures but for starts that fail and nodes that are taken back; for one of those another can be had at once",
    "prefix caching and chunked prefill of engines; without kv= their KV memory counts as a bound on sequences alone",
    "time on the network and in proxies, some milliseconds of each request",
    "priorities and tenants in the hold: requests wait in the order in which they came",
    "parts of GPUs and replicas over several nodes",
    "different prices of nodes, reserved or spot; and what is paid for GPUs of nodes that no replica has",
    "clients that come less often because answers were slow, beyond timeouts and retries",
    "errors of forecasts: nothing of what is compared forecasts load, the timers by past idle times apart",
)


@dataclass(frozen=True, slots=True)
class Point:
    """One policy at one value of a sweep."""

    value: float
    usd: Estimate
    attainment: Estimate


@dataclass(frozen=True, slots=True)
class SweptPolicy:
    """One policy along an axis, on one trace. `base` is it where nothing was changed."""

    axis: str
    trace: int
    label: str
    base: Point
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """What outputs are written from.

    title        what was simulated, in a line
    version      of Pilotlight
    config       everything that decides the result, as JSON can hold it; with it the same result can be had again
    assumptions  the same for people: what, and how much
    remarks      what a reader should know: of the trace, of policies left out of a sweep
    """

    title: str
    version: str
    seeds: tuple[int, ...]
    config: Mapping[str, object]
    assumptions: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    swept: tuple[SweptPolicy, ...]


def swept_policies(experiment: Experiment, outcomes: Sequence[Outcome]) -> tuple[SweptPolicy, ...]:
    """Each policy along each axis, in the order of axes, traces and policies."""
    by_case: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        by_case.setdefault(outcome.cell.case, []).append(outcome)
    lines: dict[tuple[str, int, str], list[Point]] = {}
    for at, case in enumerate(experiment.cases):
        if case.sweep is not None:
            for which, contender in enumerate(case.contenders):
                key = (case.sweep.axis.name, case.trace, contender.label)
                lines.setdefault(key, []).append(_point(case.value, by_case[at], which))
    bases = {
        (case.trace, contender.label): _point(math.nan, by_case[at], which)
        for at, case in enumerate(experiment.cases)
        if case.sweep is None
        for which, contender in enumerate(case.contenders)
    }
    return tuple(
        SweptPolicy(axis, trace, label, bases[trace, label], tuple(points))
        for (axis, trace, label), points in lines.items()
    )


def _point(value: float, outcomes: Sequence[Outcome], which: int) -> Point:
    runs = [outcome for outcome in outcomes if outcome.cell.contender == which]

    def estimate(key: str) -> Estimate:
        return Estimate(*interval([v for run in runs if not math.isnan(v := run.figures[key])]))

    return Point(value, estimate("usd"), estimate("attainment"))
