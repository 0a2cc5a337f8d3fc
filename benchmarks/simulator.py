"""How fast the simulator is: beside SimFaaS at its own load, a day at 20 requests a second, 16 days of 77 models.

    python -m benchmarks.simulator [--simfaas PYTHON]

PYTHON is an interpreter that has `simfaas` (PyPI, 0.2.2); without one that comparison is left out. SimFaaS is measured
in the same run, on the load that keeps some 35 of its instances: 10 requests a second of 1.99 s each (2.24 s cold),
expiry after 600 s. Rates are of processor time and the best of five rounds, theirs as ours in turn, so that what else
the machine does does not count; times are medians of three. Compiling (once for each version) is not in them. What
decides is compiled in `make bench-simulator`, and it is said whether it was. The floor is what it takes to draw the
arrivals of the trace and to do nothing with them.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import numpy as np

from autoscaler.decide import decider
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.windows import LinearWindow
from benchmarks.peak_memory import peak_mib
from simulations.plant.observed import Observed
from simulations.plant.plant import SimulatedPlant
from simulations.policies.interface import MakePolicy, Order
from simulations.policies.pilotlight import pilotlight
from simulations.run import SimulatedTrace, simulate
from simulations.scenario import DrawnSeconds, MeasuredSeconds, Scenario, ServiceSpec, StartDraws
from simulations.traces.trace import CHUNK_ROWS, Requests

DAY = 86_400.0
_CONCURRENCY = attrgetter("concurrency")

_SIMFAAS = """
import time
from simfaas.ServerlessSimulator import ServerlessSimulator
simulator = ServerlessSimulator(arrival_rate=10, warm_service_rate=1/1.991, cold_service_rate=1/2.244,
                                expiration_threshold=600, max_time=1e4)
began = time.process_time()
simulator.generate_trace(progress=False)
print(simulator.total_req_count / (time.process_time() - began))
"""
# Theirs and ours take turns, so that a machine that is faster now than a moment ago is so for both.
_ROUNDS = 5


class Poisson:
    """Arrivals of several services with a rate each, made anew whenever they are read; nothing is kept."""

    def __init__(self, rates: list[float], span: float, seed: int = 1) -> None:
        self.span = span
        self._rates = np.array(rates)
        self._seed = seed

    def chunks(self) -> Iterator[Requests]:
        random = np.random.default_rng(self._seed)
        total, at = float(self._rates.sum()), 0.0
        unknown = np.full(CHUNK_ROWS, -1, np.int32)
        while at < self.span:
            arrival = at + np.cumsum(random.exponential(1.0 / total, CHUNK_ROWS))
            at = float(arrival[-1])
            service = np.zeros(CHUNK_ROWS, np.int32)
            if len(self._rates) > 1:
                service = random.choice(len(self._rates), CHUNK_ROWS, p=self._rates / total).astype(np.int32)
            chunk = Requests(arrival, service, unknown, unknown, np.full(CHUNK_ROWS, math.nan))
            yield chunk if at < self.span else chunk.take(arrival < self.span)


class KeepAlive:
    """A replica for each request at a time, kept for 600 s after it was needed, as in SimFaaS; every ten seconds."""

    period = 10.0
    urgent = True

    def __init__(self) -> None:
        self._turn = 0
        self._most: deque[tuple[int, int]] = deque()  # (turn, needed then), each more than all that came after it

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        peak = max(map(_CONCURRENCY, observed.samples), default=0.0)
        needed, most = math.ceil(max(peak, observed.in_flight + observed.held)), self._most
        self._turn = turn = self._turn + 1
        while most and most[-1][1] <= needed:
            most.pop()
        most.append((turn, needed))
        if most[0][0] <= turn - 60:
            most.popleft()
        return Order(most[0][1])


class WindowAverage:
    """KPA in its simplest form: replicas for the mean load of a minute, over 70 % of the limit; every two seconds."""

    period = 2.0
    urgent = True

    def __init__(self, target: float) -> None:
        self._target = target
        self._window = LinearWindow(60)
        self._idle_since = 0.0

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        for sample in observed.samples:
            self._window.record(sample.second, sample.concurrency)
        wanted = math.ceil(self._window.average(math.floor(observed.at)) / self._target)
        if wanted or observed.held or observed.in_flight:
            self._idle_since = observed.at
            return Order(max(1, wanted))
        return Order(0, rests=True) if observed.at - self._idle_since > 30.0 else Order(observed.replicas.wanted)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast the simulator is.")
    parser.add_argument("--simfaas", metavar="PYTHON", help="an interpreter that has simfaas")
    simfaas_python = parser.parse_args().simfaas
    how = "from sources" if Path(decider.__file__).suffix == ".py" else "compiled"
    print(f"Python {platform.python_version()}, decisions {how}")
    _beside_simfaas(simfaas_python)
    four = Scenario((ServiceSpec("four", DrawnSeconds(2.0), StartDraws.of("30 s", 30.0), limit=4),))
    busy = Poisson([20.0], DAY)
    _report("a day at 20/s, window average each 2 s", four, busy, lambda service, scenario: WindowAverage(2.8))
    policy = pilotlight(ScalingPolicy(target=4.0, container_concurrency=4))
    _report("a day at 20/s, Pilotlight's decisions", four, busy, policy)
    rates = [14_000.0 / (16 * DAY) * share for share in _shares(77)]
    rare = Poisson(rates, 16 * DAY)
    specs = [ServiceSpec(f"m{i}", MeasuredSeconds(27.0), StartDraws.of("90 s", 90.0), limit=1) for i in range(77)]
    models = Scenario(tuple(specs))
    _report("16 days of 77 models, window average", models, rare, lambda service, scenario: WindowAverage(1.0))
    policy = pilotlight(ScalingPolicy(target=1.0, target_utilization=1.0, container_concurrency=1))
    _report("16 days of 77 models, Pilotlight's decisions", models, rare, policy)
    print(f"most memory: {peak_mib():.0f} MiB")


def _beside_simfaas(python: str | None) -> None:
    start = StartDraws.of("a quarter of a second", 0.253)
    one = Scenario((ServiceSpec("one", DrawnSeconds(1.991), start, limit=1),))
    simulate(one, Poisson([1.0], 100.0), [KeepAlive()])  # compiled, or read from the cache, now
    load, floor, alone, kept, theirs = Poisson([10.0], 60_000.0), 0.0, 0.0, 0.0, 0.0
    for _ in range(_ROUNDS):
        if python:
            said = subprocess.run([python, "-c", _SIMFAAS], check=True, capture_output=True).stdout
            theirs = max(theirs, float(said))
        floor = max(floor, _only_drawn(load))
        alone = max(alone, _plant_alone(one, load, 38))
        kept = max(kept, _once(one, load, lambda service, scenario: KeepAlive())[0])
    print(f"10 requests/s, drawn and no more: {floor / 1e6:.1f} M requests/s")
    print(f"10 requests/s, 38 replicas, no decisions: {alone / 1e6:.2f} M requests/s")
    print(f"10 requests/s, keep-alive 600 s, decided each 10 s: {kept / 1e6:.2f} M requests/s")
    if python:
        print(f"  SimFaaS 0.2.2 in the same run: {theirs / 1e3:.1f} k requests/s")
        print(f"  ours is {alone / theirs:.0f} times that, and {kept / theirs:.0f} times with the decisions")


def _shares(count: int) -> list[float]:
    weights = [1.0 / (rank + 1) for rank in range(count)]
    return [weight / sum(weights) for weight in weights]


def _report(name: str, scenario: Scenario, trace: SimulatedTrace, make: MakePolicy) -> None:
    runs = [_once(scenario, trace, make) for _ in range(3)]
    seconds = statistics.median(run[1] for run in runs)
    processor = statistics.median(run[2] for run in runs)
    _, _, _, requests, steps = runs[0]
    print(f"{name}: {seconds:.2f} s ({processor:.2f} s of processor), {requests:,} requests, {steps:,} decisions")


def _only_drawn(trace: SimulatedTrace) -> float:
    began = time.process_time()
    requests = sum(len(rows.arrival) for rows in trace.chunks())
    return requests / (time.process_time() - began)


def _plant_alone(scenario: Scenario, trace: SimulatedTrace, replicas: int) -> float:
    began = time.process_time()
    plant = SimulatedPlant(scenario, trace)
    plant.order(0, replicas)
    plant.advance(trace.span)
    return plant.results().services[0].requests / (time.process_time() - began)


def _once(scenario: Scenario, trace: SimulatedTrace, make: MakePolicy) -> tuple[float, float, float, int, int]:
    began, worked = time.perf_counter(), time.process_time()
    run = simulate(scenario, trace, make)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    requests = sum(service.requests for service in run.results.services)
    return requests / worked, took, worked, requests, run.steps


if __name__ == "__main__":
    main()
