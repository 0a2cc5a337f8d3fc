"""Every policy by its name, through a whole small run, compiled or not."""

from __future__ import annotations

import pytest

from simulations.plant.results import Outcome
from simulations.policies.registry import POLICIES, named_policy
from simulations.run import Run, simulate
from simulations.scenario import ClusterSpec, ContinuousBatching, Scenario, ServiceSpec, StartDraws
from simulations.traces.notation import generate
from tests.unit.simulations.plant.plant_worlds import plain

TRACE = generate("spike:base=0.4,height=3,at=200,width=120,span=1200,input=200,output=60,seed=7")
MODEL = ContinuousBatching(prefill=0.0004, alpha=0.02, beta=0.001, slots=8)


def scenario(initial: int = 1) -> Scenario:
    spec = ServiceSpec("spike", MODEL, StartDraws.of("20 s", 20.0), limit=8, initial=initial)
    return Scenario((spec,), ClusterSpec.of_gpus(12), seed=3)


def run(text: str, *, compiled: bool = False) -> Run:
    return simulate(scenario(), TRACE, named_policy(text, TRACE).make, compiled=compiled)


@pytest.mark.parametrize("name", POLICIES)
def test_each_serves_a_spike(name: str) -> None:
    results = run(name).results.services[0]
    assert results.outcomes[Outcome.COMPLETED] + results.outcomes[Outcome.UNFINISHED] == results.requests > 500
    assert sum(results.gpu_seconds.values()) > 0


@pytest.mark.parametrize("name", POLICIES)
def test_each_decides_the_same_again(name: str) -> None:
    first, second = run(name), run(name)
    assert plain(first.results) == plain(second.results)
    assert first.steps == second.steps


@pytest.mark.parametrize("name", ["knative", "keda", "keep-alive", "hybrid", "hazard"])
def test_these_let_a_silent_service_sleep(name: str) -> None:
    silent = generate("poisson:rate=0.02,span=600,seconds=1,seed=1+poisson:rate=0,span=9000,seed=2")
    spec = ServiceSpec("poisson", MODEL, StartDraws.of("20 s", 20.0), limit=8, initial=1)
    policy = named_policy("hybrid:range=10m" if name == "hybrid" else name)
    results = simulate(Scenario((spec,)), silent, policy.make, compiled=False, until=9000.0).results.services[0]
    assert results.timeline.ready[-1] == 0.0
    assert results.timeline.wanted[-1] == 0.0


def test_a_policy_on_engines_alone_wakes_nobody() -> None:
    over = simulate(scenario(0), TRACE, named_policy("keda:metric=running").make, compiled=False)
    assert over.results.services[0].outcomes[Outcome.COMPLETED] == 0


def test_keda_on_what_the_gateway_holds_does() -> None:
    over = simulate(scenario(0), TRACE, named_policy("keda").make, compiled=False)
    assert over.results.services[0].outcomes[Outcome.COMPLETED] > 500


def test_a_fixed_number_costs_what_it_costs() -> None:
    results = run("fixed:replicas=3").results.services[0]
    # Two that were not there at first start for twenty seconds and are paid for meanwhile.
    assert sum(results.gpu_seconds.values()) == pytest.approx(3 * 1200.0)


def test_the_peak_is_enough_for_everybody() -> None:
    peak = run("peak").results.services[0]
    knative = run("knative").results.services[0]
    assert peak.wait_seconds <= knative.wait_seconds
    assert sum(peak.gpu_seconds.values()) > sum(knative.gpu_seconds.values())
