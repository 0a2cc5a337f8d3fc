"""Policies that poll, left to rest while a service idles: what they order is what they would have ordered."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.plant.observed import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.policies.registry import POLICIES, named_policy
from simulations.policies.resting import Resting
from simulations.run import Run, simulate
from simulations.scenario import ContinuousBatching, MeasuredSeconds, MetricsPath, Scenario, ServiceSpec, StartDraws
from tests.unit.simulations.plant.plant_worlds import Arrivals

POLLING = [
    "hpa",
    "hpa:metric=rps,target=0.01,min-replicas=1,up-window=40s",
    "hpa:metric=concurrency,target=1,scrape=10s,sync=25s,down-window=60s",
    "keda",
    "keda:metric=rps,target=0.1,cooldown=20s,polling=10s,down-window=30s",
    "keda:min-replicas=1",
    "apa:metric=concurrency,target=1",
    "apa:metric=running,target=1,window=200s,answers=5s",
    "aibrix-kpa:metric=concurrency,target=1,scale-down-delay=100s",
    "wva",
    "slo-law",
    "slo-law:down-window=20s,down-period=30s",
    "ray-serve:downscale-delay=60s",
    "ray-serve:min-replicas=1,downscale-delay=30s,upscale-delay=0s",
]
LONG = 9000.0
IDLE = Scenario(
    (ServiceSpec("chat", MeasuredSeconds(3.0), StartDraws.of("a start", 15.0), limit=2, initial=1),),
)
REQUESTS = st.lists(
    st.tuples(
        st.floats(0.0, LONG) | st.integers(0, 600).map(lambda k: 15.0 * k) | st.floats(4000.0, 4010.0),
        st.floats(0.1, 300.0),
    ),
    min_size=1,
    max_size=12,
)


# Told on the second and at a fraction of it, at once and late.
PATHS = [MetricsPath(), MetricsPath(0.0, push_at=0.2), MetricsPath(2.2, scrape_at=0.3)]


def worlds() -> st.SearchStrategy[Scenario]:
    """One service: with an engine or without, with a replica at first or none, whose nodes are taken back or not."""

    def world(tokens: bool, start: float, initial: int, reclaims: float, path: MetricsPath) -> Scenario:
        model = ContinuousBatching(0.0001, 0.02, 0.001, slots=4) if tokens else MeasuredSeconds(3.0)
        draws = StartDraws.of("a start", start)
        spec = ServiceSpec("chat", model, draws, limit=2, initial=initial, reclaims=reclaims, reclaim_notice=0.0)
        return Scenario((spec,), metrics=path, seed=4)

    starts = st.sampled_from([2.3, 15.0])
    return st.builds(
        world, st.booleans(), starts, st.integers(0, 2), st.sampled_from([0.0, 3.0]), st.sampled_from(PATHS)
    )


def asked(make: MakePolicy) -> MakePolicy:
    """The same policies, asked at every turn."""

    def alone(service: ServiceSpec, scenario: Scenario) -> Policy:
        policy = make(service, scenario)
        assert isinstance(policy, Resting)
        return policy._policy

    return alone


def run(
    make: MakePolicy, world: Scenario, requests: list[tuple[float, float]], *, first_turn: float = 0.0
) -> tuple[Run, list[tuple[float, int]]]:
    requests = sorted(requests)
    at = [at for at, _ in requests]
    tokens = isinstance(world.services[0].model, ContinuousBatching)
    trace = Arrivals(
        at,
        None if tokens else [seconds for _, seconds in requests],
        tokens=[(100, 1 + int(10 * seconds)) for _, seconds in requests] if tokens else None,
        span=LONG + 1000.0,
    )
    changes: list[tuple[float, int]] = []

    def watch(observed: Observed, order: Order) -> None:
        if order.replicas != observed.replicas.wanted:
            changes.append((observed.at, order.replicas))

    return simulate(world, trace, make, watch=watch, first_turn=first_turn), changes


def near(value: object, other: object) -> bool:
    """Equal but for the last digits of numbers: hours of idleness are added up at once or by the second."""
    if isinstance(value, np.ndarray) and isinstance(other, np.ndarray):
        return np.allclose(value, other, rtol=1e-9, atol=1e-6, equal_nan=True)
    if isinstance(value, float) and isinstance(other, float):
        return value == pytest.approx(other, rel=1e-9, abs=1e-6, nan_ok=True)
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(near(value[key], other[key]) for key in value)
    if isinstance(value, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(value) == len(other) and all(map(near, value, other))
    if is_dataclass(value) and not isinstance(value, type):
        return all(near(getattr(value, field.name), getattr(other, field.name)) for field in fields(value))
    return value == other


@pytest.mark.parametrize("name", POLLING)
@settings(max_examples=15, deadline=None)
@given(REQUESTS, worlds(), st.sampled_from([0.0, 0.7]))
def test_a_rest_changes_no_order_and_no_result(
    name: str, requests: list[tuple[float, float]], world: Scenario, first_turn: float
) -> None:
    make = named_policy(name).make
    resting, changes = run(make, world, requests, first_turn=first_turn)
    always, all_changes = run(asked(make), world, requests, first_turn=first_turn)
    assert changes == all_changes
    assert near(resting.results, always.results)


@pytest.mark.parametrize("name", POLLING)
def test_who_idles_for_hours_is_asked_for_minutes(name: str) -> None:
    make = named_policy(name).make
    resting, _ = run(make, IDLE, [(500.0, 5.0)])
    always, _ = run(asked(make), IDLE, [(500.0, 5.0)])
    assert resting.steps < always.steps / 3
    assert always.steps >= math.floor((LONG + 1000.0) / make(IDLE.services[0], IDLE).period)


def test_whoever_rests_is_tried_here() -> None:
    resting = {name for name in POLICIES if name != "peak" and _rests(named_policy(name).make)}
    assert resting == {name.partition(":")[0] for name in POLLING}


def _rests(make: MakePolicy) -> bool:
    return isinstance(make(IDLE.services[0], IDLE), Resting)
