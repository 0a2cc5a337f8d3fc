"""Policies that poll, left to rest while a service idles: what they order is what they would have ordered."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.plant.observed import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.policies.registry import named_policy
from simulations.run import Run, simulate
from simulations.scenario import ContinuousBatching, MeasuredSeconds, Scenario, ServiceSpec, StartDraws
from tests.unit.simulations.plant.plant_worlds import Arrivals, plain

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
REQUESTS = st.lists(
    st.tuples(
        st.floats(0.0, LONG) | st.integers(0, 600).map(lambda k: 15.0 * k) | st.floats(4000.0, 4010.0),
        st.floats(0.1, 300.0),
    ),
    min_size=1,
    max_size=12,
)


class Asked:
    """A policy that is asked at every turn, whatever it says."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.period, self.urgent = policy.period, policy.urgent

    def step(self, observed: Observed) -> Order:
        return replace(self._policy.step(observed), repeats_until=None)


def run(make: MakePolicy, requests: list[tuple[float, float]], *, tokens: bool) -> tuple[Run, list[tuple[float, int]]]:
    requests = sorted(requests)
    at = [at for at, _ in requests]
    model = ContinuousBatching(0.0001, 0.02, 0.001, slots=4) if tokens else MeasuredSeconds(3.0)
    spec = ServiceSpec("chat", model, StartDraws.of("a start", 15.0), limit=2, initial=1)
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

    return simulate(Scenario((spec,)), trace, make, watch=watch), changes


@pytest.mark.parametrize("name", POLLING)
@settings(max_examples=15, deadline=None)
@given(REQUESTS, st.booleans())
def test_a_rest_changes_no_order_and_no_result(name: str, requests: list[tuple[float, float]], tokens: bool) -> None:
    make = named_policy(name).make
    resting, changes = run(make, requests, tokens=tokens)
    asked, all_changes = run(lambda service, scenario: Asked(make(service, scenario)), requests, tokens=tokens)
    assert changes == all_changes
    assert plain(resting.results) == plain(asked.results)


@pytest.mark.parametrize("name", POLLING)
def test_who_idles_for_hours_is_asked_for_minutes(name: str) -> None:
    make = named_policy(name).make
    resting, _ = run(make, [(500.0, 5.0)], tokens=False)
    asked, _ = run(lambda service, scenario: Asked(make(service, scenario)), [(500.0, 5.0)], tokens=False)
    assert resting.steps < asked.steps / 3
    assert asked.steps >= math.floor((LONG + 1000.0) / named_policy(name).make(*_one()).period)


def _one() -> tuple[ServiceSpec, Scenario]:
    spec = ServiceSpec("chat", MeasuredSeconds(3.0), StartDraws.of("a start", 15.0), limit=2)
    return spec, Scenario((spec,))
