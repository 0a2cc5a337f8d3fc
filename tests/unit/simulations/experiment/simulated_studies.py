"""A small study, all the way from a generator to outputs, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from simulations.clairvoyance import clairvoyance
from simulations.comparison import compare
from simulations.contender import contender
from simulations.experiment import Experiment, Outcome, plan
from simulations.own_policy import default_policy
from simulations.profiles.built_in import profile_named
from simulations.scenario import DrawnSeconds, Objective, Scenario, ServiceSpec
from simulations.study import Study, swept_policies
from simulations.sweep import Setup, parse_sweep
from simulations.traces.notation import generate

POLICIES = ("pilotlight", "kpa", "keep-alive:idle=60s")
SPIKE = "spike:base=0.1,height=5,at=7m,width=40s,span=9m"


def setup(text: str = SPIKE, limit: int = 4) -> Setup:
    """A classifier of which nobody says how long its requests take."""
    trace = generate(text, 1)
    start = profile_named("vision").draws()
    service = ServiceSpec("", DrawnSeconds(0.5), start, limit=limit, objective=Objective(latency=2.0), initial=1)
    return Setup(trace, Scenario(tuple(replace(service, name=name) for name in trace.services)), 0.5, 60.0)


def experiment(
    seeds: Sequence[int] = (1, 2, 3), sweeps: Sequence[str] = (), policies: Sequence[str] = POLICIES, text: str = SPIKE
) -> Experiment:
    """The policies on the spike."""
    world = setup(text)
    own = {spec.name: default_policy(spec.limit) for spec in world.scenario.services}
    return plan([world], [[contender(each, own) for each in policies]], seeds, [parse_sweep(each) for each in sweeps])


def study(planned: Experiment, outcomes: Sequence[Outcome], *, curve: bool = False) -> Study:
    """What outputs are written from."""
    bounds = [clairvoyance(case.setup, curve=curve) for case in planned.cases if case.sweep is None]
    compared = compare(planned, outcomes, bounds, planned.cases[0].contenders[0].label)
    return Study(
        title="a <small> study",
        version="0",
        seeds=planned.seeds,
        config={"seeds": list(planned.seeds)},
        assumptions=(("a start takes", "as vision"),),
        remarks=("an & remark",),
        comparisons=compared,
        swept=swept_policies(planned, outcomes),
    )


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiler: what is found is the same, and nobody waits for it."""
    monkeypatch.setattr("simulations.plant.plant.can_compile", lambda: False)
    monkeypatch.setattr("simulations.experiment.can_compile", lambda: False)
