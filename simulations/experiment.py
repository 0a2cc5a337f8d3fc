"""Experiment: policies × traces × seeds, with common random numbers, and what is swept; over several processes.

What is drawn in a run depends on its seed and on nothing else, so every policy has the same requests, the same n-th
start and the same lost scrapes in one seed. Runs are independent of each other: however many processes there are and
whoever ends first, the outcomes are the same and come in the order in which they were planned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from simulations.contender import Contender
from simulations.counted import Counted, count
from simulations.figures import figures_of
from simulations.plant.compile import can_compile
from simulations.plant.observed import Observed
from simulations.plant.results import Histogram, Timeline
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.policies.settings import PolicyError
from simulations.run import simulate
from simulations.statistics import Hourly
from simulations.sweep import Setup, Sweep, swept
from simulations.workers import WorkerDiedError, in_order

# Services of which an outcome keeps the time line: those with the most requests.
SHOWN_SERVICES = 24


class ExperimentError(Exception):
    """An experiment cannot be carried through: says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One trace in its world, with everybody who is simulated on it; a point of a sweep is one, too.

    sweep, value  what was changed, None and 0 where nothing was
    trace         which of the experiment's traces it is
    """

    setup: Setup
    contenders: tuple[Contender, ...]
    trace: int
    sweep: Sweep | None = None
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: which case, which of its contenders, which seed; `detailed` where time lines are wanted."""

    case: int
    contender: int
    seed: int
    detailed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one run, after its warm-up.

    figures    of all services together; services: of each, in the order of the scenario
    detail     all together, and those services with the most requests; only of the first seed, without sweeps
    latency, ttft  of all completed requests
    steps      how often a policy was asked; decision_seconds: the processor time that took, which is in no result
    """

    cell: Cell
    figures: dict[str, float]
    services: tuple[dict[str, float], ...]
    hourly: Hourly
    latency: Histogram
    ttft: Histogram
    detail: tuple[Counted, ...]
    steps: int
    decision_seconds: float


Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """Cases in their order: the traces as they are first, then the points of sweeps."""

    cases: tuple[Case, ...]
    seeds: tuple[int, ...]

    def cells(self) -> list[Cell]:
        """All runs, in their order."""
        return [
            Cell(at, which, seed, detailed=case.sweep is None and seed == self.seeds[0])
            for at, case in enumerate(self.cases)
            for which in range(len(case.contenders))
            for seed in self.seeds
        ]

    def run(self, workers: int, told: Told | None = None) -> list[Outcome]:
        """Every run. `told` hears how many of how many are over. Raises ExperimentError, and what runs raise."""
        cells = self.cells()
        if can_compile() and len(cells) > 1:
            _compile(self.cases[0])  # once, before there are processes that would each do it
        outcomes: list[Outcome] = []
        try:
            with closing(in_order(lambda job: run_cell(self, cells[job]), len(cells), workers)) as ended:
                for outcome in ended:
                    outcomes.append(outcome)
                    if told is not None:
                        told(len(outcomes), len(cells))
        except WorkerDiedError:
            raise ExperimentError(
                "a process that simulated was killed, as it happens when memory runs out: take fewer with --workers"
            ) from None
        return outcomes


def plan(
    setups: Sequence[Setup], contenders: Sequence[Sequence[Contender]], seeds: Sequence[int], sweeps: Sequence[Sweep]
) -> Experiment:
    """`contenders` belong to the setup in the same place. Everything that can be wrong with a policy is found here.

    Raises PolicyError, SweepError, TraceError.
    """
    cases = [Case(setup, tuple(those), at) for at, (setup, those) in enumerate(zip(setups, contenders, strict=True))]
    for sweep in sweeps:
        for base in cases[: len(setups)]:
            for value in sweep.values:
                setup, those = swept(sweep, base.setup, base.contenders, value)
                cases.append(Case(setup, tuple(those), base.trace, sweep, value))
    for case in cases:
        for each in case.contenders:
            _make(case, each)
    return Experiment(tuple(cases), tuple(seeds))


def _make(case: Case, contender: Contender) -> MakePolicy:
    """Raises PolicyError, with the point of the sweep where it is one."""
    try:
        return contender.make(case.setup.trace)
    except PolicyError as error:
        if case.sweep is None:
            raise
        raise PolicyError(f"--sweep {case.sweep.axis.name}={case.value:g}: {error}") from None


def run_cell(experiment: Experiment, cell: Cell) -> Outcome:
    """One run."""
    case = experiment.cases[cell.case]
    setup = case.setup
    scenario = replace(setup.scenario, seed=cell.seed)
    clock = _Clock()
    make = clock.timed(case.contenders[cell.contender].make(setup.trace))
    run = simulate(scenario, setup.trace, make, warm_up=setup.warm_up)
    together, each = count(run.results, run.before, scenario.services, setup.price)
    kept: tuple[Counted, ...] = ()
    if cell.detailed:
        busiest = sorted(each, key=lambda one: -one.requests)[:SHOWN_SERVICES]
        kept = (together, *busiest)
    return Outcome(
        cell,
        figures_of(together),
        tuple(figures_of(one) for one in each) if case.sweep is None else (),
        hourly(together.timeline, setup.warm_up),
        together.latency_warm + together.latency_cold,
        together.ttft_warm + together.ttft_cold,
        kept,
        run.steps,
        clock.seconds,
    )


def hourly(line: Timeline, warm_up: float) -> Hourly:
    """A run's time line by hours since the warm-up; a bin is of the hour that it begins in."""
    begins = np.arange(len(line.demand)) * line.width - warm_up
    kept = begins >= 0.0
    hour = (begins[kept] / 3600.0).astype(np.int64)
    gpus = (line.starting + line.ready + line.draining)[kept] * line.width / 3600.0
    ended = line.ended[kept].astype(np.float64)
    good = ended - line.missed[kept]
    gpu_hours, all_ended, all_good = (np.bincount(hour, each).astype(np.float64) for each in (gpus, ended, good))
    return Hourly(gpu_hours, all_ended, all_good)


class _Clock:
    """How long policies take to decide."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, make: MakePolicy) -> MakePolicy:
        return lambda service, scenario: _Timed(make(service, scenario), self)


class _Timed:
    """A policy, and a look at the clock before and after each step."""

    def __init__(self, policy: Policy, clock: _Clock) -> None:
        self.period = policy.period
        self.urgent = policy.urgent
        self._policy, self._clock = policy, clock

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        began = time.perf_counter()
        order = self._policy.step(observed)
        self._clock.seconds += time.perf_counter() - began
        return order


def _compile(case: Case) -> None:
    """The beginning of a run, for which all code is compiled or read from its cache."""
    simulate(case.setup.scenario, case.setup.trace, case.contenders[0].make(case.setup.trace), until=0.0)
