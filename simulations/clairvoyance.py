"""The clairvoyant beside a comparison: what the cheapest plan costs that knows every request beforehand.

Two bounds. With nobody waiting, exact for each service: every policy that serves everybody at once costs as much or
more. With the wait that the objective leaves, a linear program of which the price of a dropped request is varied: the
curve of cost against attainment that no policy gets below. What lies before the warm-up or after the end is left out,
and replicas that are there at its beginning cost no start, as policies have theirs then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulations.bounds.no_waiting import CheapestPlan, Demand
from simulations.bounds.of_trace import Terms, steps, works
from simulations.bounds.service_seconds import service_seconds
from simulations.bounds.waiting import BoundError, WaitingBound, Work, frontier
from simulations.scenario import DrawnSeconds, ServiceSpec
from simulations.sweep import Setup
from simulations.traces import transforms
from simulations.traces.trace import Requests, Trace, TraceError

_ANY = 1_000_000
_FRONTIER_BINS = 1_500
_FRONTIER_SERVICES = 6
_WINDOW_BINS = 600
# Prices of a dropped request, in GPU-seconds of the mean request's work.
_PRICES = (0.5, 1.0, 2.0, 5.0, 20.0, 100.0)


@dataclass(frozen=True, slots=True)
class Clairvoyance:
    """The bounds of one trace.

    gpu_hours  with nobody waiting; usd: the same in dollars
    curve      points (attainment, USD) of the bound with waiting, upwards; empty where it was not computed
    remark     what a reader should know of it
    """

    gpu_hours: float
    usd: float
    curve: tuple[tuple[float, float], ...]
    remark: str


def clairvoyance(setup: Setup, *, curve: bool) -> Clairvoyance | None:
    """None where durations are not known. `curve` takes some seconds."""
    services = setup.scenario.services
    trace = _after(setup.trace, setup.warm_up)
    try:
        by_service = [_alone(trace, at, spec) for at, spec in enumerate(services)]
    except TraceError:
        return None
    seconds = math.fsum(by_service)
    points: tuple[tuple[float, float], ...] = ()
    remark = "starts take their mean time"
    if curve:
        points, remark = _curve(trace, setup)
    return Clairvoyance(seconds / 3600.0, seconds / 3600.0 * setup.price, points, remark)


def start_seconds(spec: ServiceSpec) -> float:
    """The mean of a start on a node that is there and has what it needs."""
    start = spec.start
    phases = (start.schedule, start.image_cached, start.runtime, start.weights_cached, start.engine)
    return math.fsum(float(phase.mean()) for phase in phases)


def slots(spec: ServiceSpec) -> int:
    """Requests that a replica takes at a time; any number of them where nothing bounds it."""
    return min((each for each in (spec.limit, spec.model.slots) if each), default=_ANY)


def _alone(trace: Trace, at: int, spec: ServiceSpec) -> float:
    """GPU-seconds of the cheapest plan of one service."""
    own = transforms.select(trace, [trace.services[at]]) if len(trace.services) > 1 else trace
    known: Trace = _Unrecorded(own) if isinstance(spec.model, DrawnSeconds) else own
    # As many replicas as are ever needed are there at the beginning, and may be kept for their first use.
    plan = CheapestPlan(start_seconds(spec), there_from=0.0)
    for _, piece in steps(known, service_seconds(spec.model), [slots(spec)]):
        inside = piece.at < trace.span
        plan.take(Demand(piece.at[inside], piece.replicas[inside]))
    return plan.bound(until=trace.span).replica_seconds * spec.gpus


def _curve(trace: Trace, setup: Setup) -> tuple[tuple[tuple[float, float], ...], str]:
    services = setup.scenario.services
    if len(services) > _FRONTIER_SERVICES:
        return (), f"the curve is computed for up to {_FRONTIER_SERVICES} services; here are {len(services)}"
    width = max(1.0, math.ceil(trace.span / _FRONTIER_BINS))
    waits = [_wait(spec) for spec in services]
    if any(math.isinf(wait) for wait in waits):
        return (), "without an objective nobody is ever late, and the curve is a point"
    try:
        terms = [
            Terms(min(slots(spec), 100_000), start_seconds(spec), wait, spec.gpus)
            for spec, wait in zip(services, waits, strict=True)
        ]
        known: Trace = _Unrecorded(trace) if isinstance(services[0].model, DrawnSeconds) else trace
        work = [
            _inside(each, trace.span, width) for each in works(known, terms, service_seconds(services[0].model), width)
        ]
        offered = sum(float(each.requests.sum()) for each in work)
        mean = sum(float(each.busy.sum() / each.slots * each.gpus) for each in work) / max(1.0, offered)
        prices = [mean * factor + 1e-6 for factor in _PRICES]
        cluster = setup.scenario.cluster
        gpus = float(cluster.gpus_per_node * cluster.nodes) or math.inf
        found = frontier(work, width, prices, gpus=gpus, window_seconds=_WINDOW_BINS * width)
    except (TraceError, BoundError) as error:
        return (), f"no curve: {error}"
    remark = f"requests may wait as long as the objective allows; bins of {width:g} s, fractions of replicas"
    return tuple(_point(bound, setup.price) for bound in found), remark


def _inside(work: Work, span: float, width: float) -> Work:
    """Without what may be done after the end; and after an empty window, because what is there at the beginning of
    every window but the first costs no start."""
    bins = max(1, math.ceil(span / width) - math.ceil(work.wait_seconds / width))
    empty = np.zeros(_WINDOW_BINS)
    return replace(
        work,
        busy=np.concatenate((empty, work.busy[:bins])),
        requests=np.concatenate((empty, work.requests[:bins])),
    )


def _point(bound: WaitingBound, price: float) -> tuple[float, float]:
    return bound.attainment, bound.gpu_seconds / 3600.0 * price


def _wait(spec: ServiceSpec) -> float:
    """How late a good request may be begun, at most."""
    return min(spec.objective.latency, spec.objective.ttft)


def _after(trace: Trace, seconds: float) -> Trace:
    return transforms.window(trace, seconds, trace.span) if 0.0 < seconds < trace.span else trace


@dataclass(frozen=True, slots=True)
class _Unrecorded(transforms.Derived):
    """A trace whose durations are not used, because those of the model are."""

    @property
    def digest(self) -> str:
        return self.below.digest

    def chunks(self) -> Iterator[Requests]:
        for rows in self.below.chunks():
            nothing = np.full(len(rows), -1, np.int32)
            yield replace(rows, seconds=np.full(len(rows), math.nan), input_tokens=nothing, output_tokens=nothing)
