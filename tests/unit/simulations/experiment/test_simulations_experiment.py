"""Experiments: the same outcomes however they are carried out, the same work for all policies, and nothing counted that
came before."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import pytest

from simulations.clairvoyance import clairvoyance
from simulations.comparison import compare
from simulations.contender import contender
from simulations.experiment import plan, run_cell
from simulations.export import study_csv, study_json
from simulations.figures import FIGURES
from simulations.own_policy import default_policy
from simulations.policies.fixed import PeakReplicas
from simulations.policies.settings import PolicyError
from simulations.report.page import page
from simulations.sweep import SweepError, parse_sweep
from tests.unit.simulations.experiment.simulated_studies import SPIKE, experiment, interpreted, setup, study

__all__ = ["interpreted"]
pytestmark = pytest.mark.usefixtures("interpreted")


def test_outputs_are_the_same_bytes_however_many_processes_there_are() -> None:
    planned = experiment(seeds=(1, 2), sweeps=("startup=0.5,2",))
    alone = study(planned, planned.run(1))
    together = study(planned, planned.run(3))
    for made in (study_json, study_csv, page):
        assert made(alone) == made(together)


def test_another_seed_gives_another_result() -> None:
    first, second = experiment(seeds=(1, 2), policies=("kpa",)).run(1)
    assert first.figures != second.figures


def test_policies_are_given_the_same_requests() -> None:
    outcomes = experiment(seeds=(1,)).run(1)
    assert len({outcome.figures["requests"] for outcome in outcomes}) == 1


def test_a_policy_against_itself_is_not_distinguishable() -> None:
    planned = experiment(seeds=(1, 2, 3), policies=("kpa", "knative"))
    (compared,) = compare(planned, planned.run(1), [None], "kpa")
    assert compared.against[0].sentence == ("kpa is not distinguishable from knative in cost or attainment by 3 seeds")


def test_peak_is_dearer_and_better_than_one_replica() -> None:
    planned = experiment(seeds=(1, 2, 3), policies=("fixed", "peak"), text=SPIKE.replace("height=5", "height=14"))
    (compared,) = compare(planned, planned.run(1), [None], "peak")
    one, peak = compared.entries
    assert peak.mean("usd") > 1.9 * one.mean("usd")
    assert peak.mean("attainment") > one.mean("attainment")
    assert "costs" in compared.against[0].sentence
    assert "more of the requests in time" in compared.against[0].sentence


def test_nothing_before_the_warm_up_is_counted() -> None:
    whole = replace(setup(), warm_up=0.0)
    late = replace(setup(), warm_up=240.0)
    own = {spec.name: default_policy(4) for spec in whole.scenario.services}
    figures = []
    for each in (whole, late):
        planned = plan([each], [[contender("fixed:replicas=2", own)]], (1,), [])
        figures.append(run_cell(planned, planned.cells()[0]).figures)
    assert figures[0]["gpu_hours"] == pytest.approx(2 * 540.0 / 3600.0, rel=0.02)
    assert figures[1]["gpu_hours"] == pytest.approx(2 * 300.0 / 3600.0, abs=1e-6)
    assert figures[1]["requests"] < figures[0]["requests"]


def test_every_figure_is_a_number_or_nothing_to_count() -> None:
    (outcome,) = experiment(seeds=(1,), policies=("pilotlight",)).run(1)
    assert set(outcome.figures) == {figure.key for figure in FIGURES}
    assert not any(math.isinf(value) for value in outcome.figures.values())
    parts = sum(value for key, value in outcome.figures.items() if key.startswith("gpu_hours_"))
    assert parts == pytest.approx(outcome.figures["gpu_hours"])


def test_no_policy_that_serves_all_at_once_costs_less_than_the_clairvoyant() -> None:
    bound = clairvoyance(setup(), curve=True)
    assert bound is not None
    for outcome in experiment(seeds=(1, 2), policies=("peak", "keep-alive", "fixed:replicas=6")).run(1):
        if outcome.figures["attainment"] == 1.0:
            assert outcome.figures["gpu_hours"] >= bound.gpu_hours
    attainments = [attainment for attainment, _ in bound.curve]
    assert attainments == sorted(attainments)
    assert bound.curve[-1][1] <= bound.usd


def test_bounds_and_peaks_take_no_more_memory_of_a_longer_trace() -> None:
    def most(span: str) -> int:
        world = setup(f"poisson:rate=300,span={span}")
        tracemalloc.start()
        try:
            assert clairvoyance(world, curve=False) is not None
            assert PeakReplicas(world.trace, 1.0).of(world.scenario.services[0]) > 30
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert most("40m") < 1.2 * most("10m")


def test_the_limits_of_the_service_bind_every_autoscaler() -> None:
    world = setup()
    own = {spec.name: replace(default_policy(4), max_replicas=1) for spec in world.scenario.services}
    planned = plan([world], [[contender(each, own) for each in ("kpa", "keep-alive", "pilotlight")]], (1,), [])
    for outcome in planned.run(1):
        assert outcome.detail[0].timeline.wanted.max() <= 1.0


def test_a_burst_is_seen_where_it_begins() -> None:
    (outcome,) = experiment(seeds=(1,), policies=("pilotlight",)).run(1)
    assert outcome.figures["bursts"] == 1.0
    assert 2.0 <= outcome.figures["burst_added"] <= 60.0


def test_a_policy_that_cannot_be_is_found_before_anything_runs() -> None:
    with pytest.raises(PolicyError, match="replicas=-1"):
        experiment(policies=("fixed:replicas=-1",))
    with pytest.raises(PolicyError, match="there are pilotlight, fixed"):
        experiment(policies=("magic",))
    with pytest.raises(PolicyError, match="--sweep keep-alive=0"):
        experiment(policies=("keep-alive",), sweeps=("keep-alive=0,60",))
    world = setup()
    big = replace(world, scenario=replace(world.scenario, services=(replace(world.scenario.services[0], gpus=4),)))
    with pytest.raises(SweepError, match="gpus=1"):
        plan([big], [[contender("fixed", {})]], (1,), [parse_sweep("gpus=1")])


def test_services_are_counted_each_and_together() -> None:
    text = SPIKE + ",services=3"
    (outcome,) = experiment(seeds=(1,), policies=("kpa",), text=text).run(1)
    assert len(outcome.services) == 3
    for key in ("requests", "gpu_hours", "starts"):
        assert sum(service[key] for service in outcome.services) == pytest.approx(outcome.figures[key])
