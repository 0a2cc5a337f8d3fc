"""Pilotlight's own decisions in the plant: as the controller makes them, also where steps are left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.decision import Decision
from autoscaler.policy.scaling_policy import Improvements, ScalingPolicy
from simulations.plant.interface import Observed
from simulations.policies.interface import Order
from simulations.policies.pilotlight import Pilotlight, pilotlight
from simulations.run import simulate
from simulations.scenario import MeasuredSeconds, MetricsPath, Scenario, ServiceSpec, StartDraws
from tests.unit.simulations.plant.plant_worlds import Arrivals, plain

OURS = ScalingPolicy(target=1.0, target_utilization=1.0, container_concurrency=1, stable_window_seconds=20.0)
POLICIES = [
    OURS,
    ScalingPolicy(target=2.0, scale_to_zero_retention_seconds=100.0, scale_down_delay_seconds=30.0),
    ScalingPolicy(target=2.0, min_replicas=1, target_burst_capacity=-1.0),
    ScalingPolicy(
        target=2.0,
        initial_scale=1,
        improvements=Improvements(starting_replicas_count=False, backlog_sizing=False, one_before_zero=False),
    ),
]


class Awake:
    """Pilotlight that is asked at every turn."""

    urgent = True

    def __init__(self, policy: ScalingPolicy) -> None:
        self._inner = Pilotlight("chat", policy)
        self.period = self._inner.period

    def step(self, observed: Observed) -> Order:
        order = self._inner.step(observed)
        return Order(order.replicas, order.activator_in_path, decision=order.decision)


def scenario(metrics: MetricsPath | None = None) -> Scenario:
    spec = ServiceSpec("chat", MeasuredSeconds(3.0), StartDraws.of("15 s", 15.0), limit=1)
    return Scenario((spec,), metrics=metrics or MetricsPath())


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(0.0, 700.0), max_size=5),
    st.sampled_from(POLICIES),
    st.sampled_from([MetricsPath(0.0), MetricsPath(0.5), MetricsPath(3.0)]),
)
def test_steps_that_are_left_out_change_nothing(
    arrivals: list[float], policy: ScalingPolicy, metrics: MetricsPath
) -> None:
    trace = Arrivals(sorted(arrivals), span=1000.0)
    decided: list[list[tuple[float, int]]] = [[], []]

    def keep(decisions: list[tuple[float, int]], order: Order) -> None:
        assert isinstance(order.decision, Decision)
        decisions.append((order.decision.at, order.decision.desired))

    resting = simulate(
        scenario(metrics), trace, pilotlight(policy), watch=lambda observed, order: keep(decided[0], order)
    )
    awake = simulate(scenario(metrics), trace, [Awake(policy)], watch=lambda observed, order: keep(decided[1], order))
    assert plain(resting.results) == plain(awake.results)
    assert set(decided[0]) <= set(decided[1])
    if len(arrivals) < 3 and policy.min_replicas == 0:
        assert resting.steps < awake.steps


def test_a_service_goes_from_zero_to_one_and_back() -> None:
    trace = Arrivals([100.0], span=1000.0)
    decisions: list[Decision] = []

    def keep(observed: Observed, order: Order) -> None:
        assert order.decision is not None
        decisions.append(order.decision)

    over = simulate(scenario(), trace, pilotlight(OURS), watch=keep)
    changes = [decision for before, decision in pairwise(decisions) if before.desired != decision.desired]
    assert [(decision.reason.value, decision.desired) for decision in changes] == [("wake", 1), ("sleep", 0)]
    assert changes[0].at == 100.0
    assert over.results.services[0].latency_sum == pytest.approx(15.0 + 3.0)
