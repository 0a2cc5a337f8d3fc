"""Counted: what happened after the warm-up, of one service or of several together, and how well supply met demand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from simulations.plant.results import F8, GpuUse, Histogram, Outcome, Results, ServiceResults, Timeline
from simulations.policies.fixed import room
from simulations.scenario import ServiceSpec, StartPhase
from simulations.warm_up import bins_after, since

_BURST_BEFORE = 300.0
_BURST_WITHIN = 60.0
_BURST_FACTOR = 2.0
_BURST_LEAST = 10
_CALM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Provision:
    """Ready replicas beside what the demand of the moment needs, after the elasticity metrics of SPEC's cloud group.

    Needed are requests in the system over what one replica takes. Times are shares of the bins of the time line;
    volumes are missing and unneeded replica-seconds, over those needed.
    """

    under_time: float = math.nan
    under_volume: float = math.nan
    over_time: float = math.nan
    over_volume: float = math.nan


@dataclass(frozen=True, slots=True)
class Bursts:
    """Minutes with twice the requests of the five before, at least ten more than were to be expected.

    added      seconds from the beginning of such a minute to the first further ready replica, median
    recovered  to the moment after which no request misses its objective for a minute, median
    """

    count: int = 0
    added: float = math.nan
    recovered: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Sums over services, after the warm-up; see ServiceResults for what is what. The time line is whole, in GPUs."""

    name: str
    hours: float
    requests: int
    attempts: int
    outcomes: Mapping[Outcome, int]
    good: int
    worst_window: float
    cold: int
    wait_seconds: float
    latency_warm: Histogram
    latency_cold: Histogram
    ttft_warm: Histogram
    ttft_cold: Histogram
    latency_sum: float
    output_tokens: int
    gpu_seconds: Mapping[GpuUse, float]
    phase_seconds: Mapping[StartPhase, float]
    starts: int
    failed_starts: int
    reclaimed: int
    raised: int
    lowered: int
    reversals: int
    usd: float
    provision: Provision
    bursts: Bursts
    timeline: Timeline

    @property
    def ended(self) -> int:
        """Requests that came to an end."""
        return self.requests - self.outcomes[Outcome.UNFINISHED]

    @property
    def gpu_hours(self) -> float:
        """All that is paid for."""
        return sum(self.gpu_seconds.values()) / 3600.0


def count(
    results: Results, before: Results | None, specs: Sequence[ServiceSpec], price: float
) -> tuple[Counted, tuple[Counted, ...]]:
    """All services together, and each; `before` is what is left out, `price` in USD for a GPU-hour."""
    warm_up = before.span if before is not None else 0.0
    counted = results.services
    if before is not None:
        counted = tuple(since(now, then) for now, then in zip(results.services, before.services, strict=True))
    hours = max(1e-9, results.span - warm_up) / 3600.0
    each = tuple(_of_service(one, spec, warm_up, hours, price) for one, spec in zip(counted, specs, strict=True))
    return (each[0] if len(each) == 1 else _together(each, results.worst_window)), each


def _of_service(one: ServiceResults, spec: ServiceSpec, warm_up: float, hours: float, price: float) -> Counted:
    line = bins_after(one.timeline, warm_up)
    return Counted(
        name=one.name,
        hours=hours,
        requests=one.requests,
        attempts=one.attempts,
        outcomes=one.outcomes,
        good=one.good,
        worst_window=one.worst_window,
        cold=one.cold,
        wait_seconds=one.wait_seconds,
        latency_warm=one.latency_warm,
        latency_cold=one.latency_cold,
        ttft_warm=one.ttft_warm,
        ttft_cold=one.ttft_cold,
        latency_sum=one.latency_sum,
        output_tokens=one.output_tokens,
        gpu_seconds=one.gpu_seconds,
        phase_seconds=one.phase_seconds,
        starts=one.starts,
        failed_starts=one.failed_starts,
        reclaimed=one.reclaimed,
        raised=one.raised,
        lowered=one.lowered,
        reversals=one.reversals,
        usd=math.fsum(one.gpu_seconds.values()) / 3600.0 * price,
        provision=provision(line, spec),
        bursts=bursts(line),
        timeline=_in_gpus(one.timeline, spec.gpus),
    )


def _together(each: Sequence[Counted], worst_window: float) -> Counted:
    """The services as one. Under- and over-provision do not cancel out between services: they are added up."""

    def histogram(of: str) -> Histogram:
        whole: Histogram = getattr(each[0], of)
        for one in each[1:]:
            whole = whole + getattr(one, of)
        return whole

    def total(of: str) -> int:
        return sum(int(getattr(one, of)) for one in each)

    return Counted(
        name="all services",
        hours=each[0].hours,
        requests=total("requests"),
        attempts=total("attempts"),
        outcomes={outcome: sum(one.outcomes[outcome] for one in each) for outcome in Outcome},
        good=total("good"),
        worst_window=worst_window,
        cold=total("cold"),
        wait_seconds=math.fsum(one.wait_seconds for one in each),
        latency_warm=histogram("latency_warm"),
        latency_cold=histogram("latency_cold"),
        ttft_warm=histogram("ttft_warm"),
        ttft_cold=histogram("ttft_cold"),
        latency_sum=math.fsum(one.latency_sum for one in each),
        output_tokens=total("output_tokens"),
        gpu_seconds={use: math.fsum(one.gpu_seconds[use] for one in each) for use in GpuUse},
        phase_seconds={phase: math.fsum(one.phase_seconds[phase] for one in each) for phase in StartPhase},
        starts=total("starts"),
        failed_starts=total("failed_starts"),
        reclaimed=total("reclaimed"),
        raised=total("raised"),
        lowered=total("lowered"),
        reversals=total("reversals"),
        usd=math.fsum(one.usd for one in each),
        provision=_mean_provision([one.provision for one in each]),
        bursts=_all_bursts([one.bursts for one in each]),
        timeline=_sum([one.timeline for one in each]),
    )


def _in_gpus(line: Timeline, gpus: int) -> Timeline:
    """Replicas of several services are no number that means anything; their GPUs are."""
    return replace(line, **{name: getattr(line, name) * gpus for name in ("wanted", "starting", "ready", "draining")})


def _sum(lines: Sequence[Timeline]) -> Timeline:
    names = [field.name for field in fields(Timeline) if field.name != "width"]
    return Timeline(lines[0].width, *(np.sum([getattr(line, name) for line in lines], axis=0) for name in names))


def provision(line: Timeline, spec: ServiceSpec) -> Provision:
    """Of one service. NaN where a replica takes any number of requests: then nobody can say how many are needed."""
    if not (spec.limit or spec.model.slots) or not len(line.demand):
        return Provision()
    needed, ready = line.demand / room(spec), line.ready
    spare = ready - np.ceil(needed - 1e-9)
    volume = float(needed.sum())
    missing, unneeded = np.maximum(needed - ready, 0.0), np.maximum(spare, 0.0)
    return Provision(
        under_time=float((missing > 1e-6).mean()),
        under_volume=float(missing.sum()) / volume if volume else math.nan,
        over_time=float((unneeded > 1e-6).mean()),
        over_volume=float(unneeded.sum()) / volume if volume else math.nan,
    )


def _mean_provision(each: Sequence[Provision]) -> Provision:
    """Of several services, the mean: each one's users are as many users as the others'."""

    def mean(of: str) -> float:
        values = [value for one in each if not math.isnan(value := float(getattr(one, of)))]
        return math.fsum(values) / len(values) if values else math.nan

    return Provision(mean("under_time"), mean("under_volume"), mean("over_time"), mean("over_volume"))


def bursts(line: Timeline) -> Bursts:
    """Of one service; nothing where bins are too wide to tell."""
    if line.width > _BURST_WITHIN / 2.0:
        return Bursts()
    within, before = max(1, round(_BURST_WITHIN / line.width)), max(1, round(_BURST_BEFORE / line.width))
    begins = _burst_bins(line.arrived.astype(np.float64), within, before)
    calm = max(1, round(_CALM_SECONDS / line.width))
    added, recovered = [], []
    for begin in begins:
        more = np.flatnonzero(line.ready[begin:] > line.ready[begin] + 0.5)
        if len(more):
            added.append(float(more[0]) * line.width)
        missed = np.flatnonzero(line.missed[begin:])
        # The first miss after which there is none for a minute; none at all within a minute: it never was in trouble.
        if not len(missed) or missed[0] > calm:
            recovered.append(0.0)
        else:
            quiet = np.flatnonzero(np.diff(missed) > calm)
            last = missed[quiet[0]] if len(quiet) else missed[-1]
            recovered.append(float(last + 1) * line.width)
    return Bursts(len(begins), _median(added), _median(recovered))


def _burst_bins(arrived: F8, within: int, before: int) -> list[int]:
    """Where bursts begin: each at least `before` bins after the last."""
    total = np.concatenate(([0.0], np.cumsum(arrived)))
    begins: list[int] = []
    at = before
    while at + within <= len(arrived):
        usual = (total[at] - total[at - before]) * within / before
        now = total[at + within] - total[at]
        if now >= _BURST_FACTOR * usual and now >= usual + _BURST_LEAST:
            begins.append(at + _onset(arrived[at : at + 2 * within], usual / within))
            at += before
        else:
            at += 1
    return begins


def _onset(arrived: F8, usual: float) -> int:
    """Where a rate rises from `usual` to what it is in the end: the least point of a sum of deviations from halfway."""
    halfway = (usual + float(arrived.mean())) / 2.0
    deviations = np.concatenate(([0.0], np.cumsum(arrived - halfway)))
    return int(np.argmin(deviations[:-1]))


def _all_bursts(each: Sequence[Bursts]) -> Bursts:
    return Bursts(
        sum(one.count for one in each),
        _median([one.added for one in each if not math.isnan(one.added)]),
        _median([one.recovered for one in each if not math.isnan(one.recovered)]),
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan
