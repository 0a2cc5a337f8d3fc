"""Comparison: outcomes of all seeds put together for each policy, and what sets a policy apart from the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulations.clairvoyance import Clairvoyance
from simulations.counted import Counted
from simulations.experiment import Case, Experiment, Outcome
from simulations.figures import CLAIRVOYANT, FIGURES, mean_of, share_shown
from simulations.plant.results import Histogram
from simulations.statistics import Difference, Method, by_hours, interval, paired

# Attainments that are closer than this are called the same, however sure one is that they differ.
_SAME_ATTAINMENT = 0.0005
# Of fewer seeds than this it is said how few they were.
_FEW_SEEDS = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over seeds: the mean, and the 95 % interval of it; NaN bounds without one."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One policy on one trace.

    figures   over seeds; services: means of each service's figures, in the scenario's order
    latency, ttft  of all seeds together
    detail    time lines of the first seed: all services together, then the busiest ones
    decision_seconds  processor time of a step, which is in no output that has to be the same each time
    """

    label: str
    figures: dict[str, Estimate]
    services: tuple[dict[str, float], ...]
    latency: Histogram
    ttft: Histogram
    detail: tuple[Counted, ...]
    runs: tuple[Outcome, ...]
    decision_seconds: float
    dominated: bool = False

    def mean(self, key: str) -> float:
        """One of the figures."""
        return self.figures[key].mean


@dataclass(frozen=True, slots=True)
class Against:
    """How the reference differs from another policy, and how sure that is.

    usd         as a share of what the other costs; negative: the reference is cheaper
    attainment  difference of shares; positive: the reference serves more in time
    """

    other: str
    usd: Difference
    attainment: Difference
    sentence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything about one trace as it is, without sweeps."""

    case: Case
    entries: tuple[Entry, ...]
    reference: str
    against: tuple[Against, ...]
    bound: Clairvoyance | None


def compare(
    experiment: Experiment, outcomes: Sequence[Outcome], bounds: Sequence[Clairvoyance | None], reference: str
) -> tuple[Comparison, ...]:
    """One comparison for each trace; `bounds` are theirs."""
    found = []
    for at, case in enumerate(experiment.cases):
        if case.sweep is None:
            of_case = [outcome for outcome in outcomes if outcome.cell.case == at]
            found.append(_comparison(case, of_case, bounds[case.trace], reference))
    return tuple(found)


def _comparison(case: Case, outcomes: Sequence[Outcome], bound: Clairvoyance | None, reference: str) -> Comparison:
    entries = []
    for which, contender in enumerate(case.contenders):
        runs = tuple(outcome for outcome in outcomes if outcome.cell.contender == which)
        entries.append(_entry(contender.label, runs, bound))
    entries = [replace(entry, dominated=_dominated(entry, entries)) for entry in entries]
    ours = next(entry for entry in entries if entry.label == reference)
    against = tuple(_against(ours, entry) for entry in entries if entry is not ours)
    return Comparison(case, tuple(entries), reference, against, bound)


def _entry(label: str, runs: tuple[Outcome, ...], bound: Clairvoyance | None) -> Entry:
    figures = {figure.key: _estimate([run.figures[figure.key] for run in runs]) for figure in FIGURES}
    hours = figures["gpu_hours"].mean
    known = bound is not None and bound.gpu_hours > 0.0
    ratio = hours / bound.gpu_hours if bound is not None and known else math.nan
    figures[CLAIRVOYANT] = Estimate(ratio, math.nan, math.nan)
    services = tuple(
        {key: mean_of([run.services[at][key] for run in runs]) for key in runs[0].services[at]}
        for at in range(len(runs[0].services))
    )
    latency, ttft = runs[0].latency, runs[0].ttft
    for run in runs[1:]:
        latency, ttft = latency + run.latency, ttft + run.ttft
    steps = sum(run.steps for run in runs)
    decision = sum(run.decision_seconds for run in runs) / max(1, steps)
    return Entry(label, figures, services, latency, ttft, runs[0].detail, runs, decision)


def _estimate(values: Sequence[float]) -> Estimate:
    """Seeds in which there is nothing to count say nothing."""
    numbers = [value for value in values if not math.isnan(value)]
    return Estimate(*interval(numbers))


def _dominated(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether another costs no more and serves no fewer in time, and is better in one of the two."""
    usd, good = entry.mean("usd"), entry.mean("attainment")
    return any(
        other.mean("usd") <= usd
        and other.mean("attainment") >= good
        and (other.mean("usd") < usd or other.mean("attainment") > good)
        for other in entries
    )


def _against(ours: Entry, theirs: Entry) -> Against:
    usd = paired([run.figures["usd"] for run in ours.runs], [run.figures["usd"] for run in theirs.runs])
    attainment = paired(
        [run.figures["attainment"] for run in ours.runs], [run.figures["attainment"] for run in theirs.runs]
    )
    if len(ours.runs) == 1:
        usd, attainment = _single(ours, theirs, usd, attainment)
    usd = usd.over(theirs.mean("usd"))
    return Against(theirs.label, usd, attainment, _sentence(ours, theirs, usd, attainment))


def _single(ours: Entry, theirs: Entry, usd: Difference, attainment: Difference) -> tuple[Difference, Difference]:
    """The intervals of one run, from its hours, around the differences that were counted exactly."""
    hours, attained = by_hours(ours.runs[0].hourly, theirs.runs[0].hourly)
    if hours.method is Method.NONE:
        return usd, attainment
    gpu_hours = ours.mean("gpu_hours")
    price = ours.mean("usd") / gpu_hours if gpu_hours else 0.0
    in_usd = replace(hours, mean=hours.mean * price, low=hours.low * price, high=hours.high * price)
    return _moved(in_usd, usd.mean), _moved(attained, attainment.mean)


def _moved(difference: Difference, to: float) -> Difference:
    by = to - difference.mean
    return replace(difference, mean=to, low=difference.low + by, high=difference.high + by)


def _sentence(ours: Entry, theirs: Entry, usd: Difference, attainment: Difference) -> str:
    """The verdict, as one sentence."""
    same_cost, same_good = usd.distinguishable is False, attainment.distinguishable is False
    close = abs(attainment.mean) < _SAME_ATTAINMENT
    if same_cost and (same_good or close):
        return f"{ours.label} is not distinguishable from {theirs.label} in cost or attainment{_by_few(usd)}"
    cost = _cost(usd, theirs, same=same_cost)
    if math.isnan(attainment.mean):
        return f"{ours.label} {cost}; their attainments cannot be compared, for too few requests ended in the trace"
    sure = "" if usd.distinguishable is not None else " (one run: how sure that is cannot be said)"
    good, other_good = share_shown(ours.mean("attainment")), share_shown(theirs.mean("attainment"))
    if close:
        return f"{ours.label} {cost} at the same attainment ({good}){sure}"
    if same_good:
        sure = _by_few(attainment) or sure
        return f"{ours.label} {cost}; their attainments ({good}, {other_good}) are not distinguishable{sure}"
    points = f"{_percent(abs(attainment.mean))} points {'more' if attainment.mean > 0 else 'fewer'}"
    return f"{ours.label} {cost}, and serves {points} of the requests in time{sure}"


def _cost(usd: Difference, theirs: Entry, *, same: bool) -> str:
    if same or math.isnan(usd.mean):
        return f"costs as much as {theirs.label}, as far as can be told{_by_few(usd)}"
    if abs(usd.mean) < 0.0005:
        return f"costs as much as {theirs.label}"
    if usd.mean > 1.0:
        return f"costs {1.0 + usd.mean:.2g} times as much as {theirs.label}"
    between = ""
    if not math.isnan(usd.low) and usd.high - usd.low > 0.001:
        ends = sorted((abs(usd.low), abs(usd.high)))
        between = f" ({_percent(ends[0])} to {_percent(ends[1])})"
    return f"costs {_percent(abs(usd.mean))} %{between} {'less' if usd.mean < 0 else 'more'} than {theirs.label}"


def _by_few(difference: Difference) -> str:
    """Of two or three seeds an interval holds nearly everything: what is not told apart may be far apart."""
    few = difference.method is Method.SEEDS and difference.runs < _FEW_SEEDS
    return f" by {difference.runs} seeds" if few else ""


def _percent(share: float) -> str:
    """Of a share: whole numbers, and below ten two digits."""
    return f"{100.0 * share:.0f}" if share >= 0.0995 else f"{100.0 * share:.2g}"
