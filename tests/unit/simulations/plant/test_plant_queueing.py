"""Against queueing theory: closed forms in the mean, and the recursion of Kiefer and Wolfowitz exactly."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest

from simulations.plant.plant import SimulatedPlant
from simulations.scenario import DrawnSeconds, Objective, Scenario, ServiceModel, Shape
from tests.unit.simulations.plant.plant_worlds import Arrivals, Script, run, service

pytest.importorskip("numba")


def poisson(rate: float, span: float, seed: int) -> Arrivals:
    random = np.random.default_rng(seed)
    at = np.cumsum(random.exponential(1.0 / rate, int(rate * span * 1.1) + 100))
    return Arrivals(at[at < span], span=span)  # type: ignore[arg-type]


def mean_waits(model: ServiceModel, servers: int, rate: float, runs: int = 10) -> np.ndarray:
    """The mean wait of independent runs."""
    waits = []
    for seed in range(runs):
        trace = poisson(rate, 100_000.0 / rate, seed)
        scenario = Scenario((service(model=model, limit=1, initial=servers, objective=Objective()),), seed=seed)
        plant = SimulatedPlant(scenario, trace, compiled=True)
        plant.order(0, servers)
        plant.advance(trace.span)
        results = plant.results().services[0]
        waits.append(results.wait_seconds / results.latency_warm.total)
    return np.array(waits)


def within_confidence(waits: np.ndarray, expected: float) -> bool:
    """Within three and a half standard errors: one in some thousand would be outside by chance."""
    error = waits.std(ddof=1) / math.sqrt(len(waits))
    return bool(abs(waits.mean() - expected) < 3.5 * error)


def erlang_c(servers: int, load: float) -> float:
    """The probability of waiting in M/M/c."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.5), (1, 0.8), (4, 0.7), (35, 0.9)])
def test_the_mean_wait_of_many_servers_is_erlangs(servers: int, rho: float) -> None:
    mean = 2.0
    expected = erlang_c(servers, servers * rho) * mean / (servers * (1.0 - rho))
    waits = mean_waits(DrawnSeconds(mean), servers, rate=servers * rho / mean)
    assert within_confidence(waits, expected), (waits.mean(), expected)


@pytest.mark.parametrize(
    ("shape", "cv"), [(Shape.CONSTANT, 0.0), (Shape.GAMMA, 0.5), (Shape.LOGNORMAL, 1.2), (Shape.EXPONENTIAL, 1.0)]
)
def test_the_mean_wait_of_one_server_is_pollaczek_khinchins(shape: Shape, cv: float) -> None:
    rho, mean = 0.7, 1.0
    expected = rho * mean * (1.0 + cv * cv) / (2.0 * (1.0 - rho))
    waits = mean_waits(DrawnSeconds(mean, shape, cv), 1, rate=rho / mean)
    assert within_confidence(waits, expected), (waits.mean(), expected)


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("compiled", [False, True])
def test_first_come_first_served_to_the_last_request(servers: int, compiled: bool) -> None:
    random = np.random.default_rng(5)
    at = np.sort(random.uniform(0.0, 900.0, 1500))
    seconds = random.exponential(0.5 * servers, 1500)
    free = [0.0] * servers
    waited = 0.0
    for arrival, takes in zip(at, seconds, strict=True):
        begins = max(arrival, heapq.heappop(free))
        waited += begins - arrival
        heapq.heappush(free, begins + takes)
    trace = Arrivals(at, seconds, span=20_000.0)  # type: ignore[arg-type]
    results, _ = run(trace, Script(period=100.0), limit=1, initial=servers, compiled=compiled)
    assert results.latency_warm.total == 1500
    assert results.wait_seconds == pytest.approx(waited)
