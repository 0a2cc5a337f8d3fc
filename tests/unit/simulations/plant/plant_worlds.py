"""Small traces, scripted policies and what is read off a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum

import numpy as np

from autoscaler.policy.scaling_policy import ScalingPolicy
from simulations.plant.observed import Observed
from simulations.plant.results import ServiceResults
from simulations.policies.interface import Order
from simulations.policies.pilotlight import Pilotlight
from simulations.run import Run, simulate
from simulations.scenario import ClusterSpec, MeasuredSeconds, MetricsPath, Scenario, ServiceSpec, StartDraws
from simulations.traces.trace import Requests


@dataclass(frozen=True)
class Arrivals:
    """A trace of these arrivals: when, of which service, for how many seconds, of how many tokens."""

    at: Sequence[float]
    seconds: Sequence[float] | None = None
    service: Sequence[int] | None = None
    tokens: Sequence[tuple[int, int]] | None = None
    span: float = 1000.0
    rows: int = 65_536

    def chunks(self) -> Iterator[Requests]:
        count = len(self.at)
        tokens = np.array(self.tokens if self.tokens is not None else [(-1, -1)] * count, np.int32).reshape(-1, 2)
        whole = Requests(
            np.asarray(self.at, np.float64),
            np.asarray(self.service if self.service is not None else [0] * count, np.int32),
            tokens[:, 0],
            tokens[:, 1],
            np.asarray(self.seconds if self.seconds is not None else [math.nan] * count, np.float64),
        )
        for first in range(0, count, self.rows):
            yield whole.take(slice(first, first + self.rows))


class Awake:
    """Pilotlight that is asked at every turn."""

    urgent = True

    def __init__(self, service: str, policy: ScalingPolicy) -> None:
        self.inner = Pilotlight(service, policy)
        self.period = self.inner.period

    def step(self, observed: Observed) -> Order:
        decision = self.inner.decide(observed.observation())
        return Order(decision.desired, decision.activator_in_path, decision=decision)


class Script:
    """Orders so many replicas from these moments on; urgent or not."""

    def __init__(self, *orders: tuple[float, int], period: float = 1.0, urgent: bool = False, in_path: bool = True):
        self.period = period
        self.urgent = urgent
        self.in_path = in_path
        self.orders = orders
        self.seen: list[Observed] = []

    def step(self, observed: Observed) -> Order:
        self.seen.append(observed)
        wanted = [replicas for at, replicas in self.orders if at <= observed.at]
        return Order(wanted[-1] if wanted else observed.replicas.wanted, activator_in_path=self.in_path)


class OnDemand:
    """One replica as soon as somebody comes; none when nobody has been there for `keep` seconds."""

    def __init__(self, keep: float = 30.0, most: int = 1, period: float = 2.0) -> None:
        self.period = period
        self.urgent = True
        self.keep = keep
        self.most = most
        self.last = 0.0
        self.seen: list[Observed] = []

    def step(self, observed: Observed) -> Order:
        self.seen.append(observed)
        load = observed.held + observed.in_flight
        if load or any(sample.concurrency for sample in observed.samples):
            self.last = observed.at
            return Order(max(1, min(self.most, math.ceil(load))))
        asleep = observed.at - self.last > self.keep
        return Order(0, rests=True) if asleep else Order(observed.replicas.wanted)


def service(name: str = "chat", **changed: object) -> ServiceSpec:
    spec: dict[str, object] = {"model": MeasuredSeconds(1.0), "start": StartDraws.of("ten seconds", 10.0)}
    return ServiceSpec(name, **(spec | changed))  # type: ignore[arg-type]


def run(
    trace: Arrivals,
    policy: Script | OnDemand,
    *,
    compiled: bool = False,
    cluster: ClusterSpec | None = None,
    metrics: MetricsPath | None = None,
    **changed: object,
) -> tuple[ServiceResults, Run]:
    scenario = Scenario((service("chat", **changed),), cluster or ClusterSpec(), metrics=metrics or MetricsPath())
    over = simulate(scenario, trace, [policy], compiled=compiled)
    return over.results.services[0], over


def mean_latency(results: ServiceResults) -> float:
    return results.latency_sum / sum(n for outcome, n in results.outcomes.items() if outcome.value == "completed")


def plain(value: object) -> object:
    """Anything in a result as something that == compares to the last bit."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return [plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return repr(value) if isinstance(value, float) else value
