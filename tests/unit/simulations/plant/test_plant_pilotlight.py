"""Pilotlight's own decisions in the plant: as the controller makes them, also where steps are left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.decision import Decision
from autoscaler.decide.records import DecisionRecord, record_line
from autoscaler.policy.scaling_policy import Improvements, ScalingPolicy
from simulations.plant.observed import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.policies.pilotlight import pilotlight
from simulations.run import Run, simulate
from simulations.scenario import Clients, MeasuredSeconds, MetricsPath, Scenario, ServiceSpec, StartDraws, constant
from tests.unit.simulations.plant.plant_worlds import Arrivals, Awake, Script, plain, service

OURS = ScalingPolicy(target=1.0, target_utilization=1.0, container_concurrency=1, stable_window_seconds=20.0)
POLICIES = [
    OURS,
    ScalingPolicy(target=2.0, scale_to_zero_retention_seconds=100.0, scale_down_delay_seconds=30.0),
    ScalingPolicy(target=2.0, min_replicas=1, target_burst_capacity=-1.0),
    ScalingPolicy(
        target=2.0,
        initial_scale=1,
        improvements=Improvements(
            starting_replicas_count=False, backlog_sizing=False, one_before_zero=False, throughput_floor=False
        ),
    ),
]


def scenario(
    metrics: MetricsPath | None = None, *, start: float = 15.0, clients: Clients | None = None, reclaims: float = 0.0
) -> Scenario:
    draws = StartDraws("a start", runtime=constant(start / 3), engine=constant(2 * start / 3))
    spec = ServiceSpec("chat", MeasuredSeconds(3.0), draws, limit=1, clients=clients or Clients(), reclaims=reclaims)
    return Scenario((spec,), metrics=metrics or MetricsPath())


REQUESTS = st.lists(
    st.tuples(st.floats(0.0, 700.0) | st.integers(0, 350).map(lambda k: 2.0 * k), st.floats(0.0, 200.0)), max_size=5
)


PATHS = [
    MetricsPath(0.0),
    MetricsPath(0.5),
    MetricsPath(3.0),
    MetricsPath(0.5, loss=0.3),
    MetricsPath(0.0, scrape_at=0.3, push_at=0.7),
    MetricsPath(0.0, scrape_at=None, push_at=0.2),
]


@settings(max_examples=40, deadline=None)
@given(
    REQUESTS,
    st.sampled_from(POLICIES),
    st.sampled_from(PATHS),
    st.sampled_from([0.0, 15.0, 150.0]),
    st.sampled_from([Clients(), Clients(timeout=20.0, retries=1)]),
    st.sampled_from([0.0, 20.0]),
    st.sampled_from([0.0, 0.75]),
)
def test_steps_that_are_left_out_change_nothing(
    requests: list[tuple[float, float]],
    policy: ScalingPolicy,
    metrics: MetricsPath,
    start: float,
    clients: Clients,
    reclaims: float,
    first_turn: float,
) -> None:
    requests.sort()
    trace = Arrivals([at for at, _ in requests], [seconds for _, seconds in requests], span=1000.0)
    world = scenario(metrics, start=start, clients=clients, reclaims=reclaims)
    decided: list[list[str]] = [[], []]

    def outcome(make: MakePolicy | list[Policy], told: list[str]) -> Run:
        def keep(observed: Observed, order: Order) -> None:
            assert isinstance(order.decision, Decision)
            told.append(record_line(DecisionRecord(order.decision)))

        return simulate(world, trace, make, first_turn=first_turn, compiled=False, watch=keep)

    resting, awake = outcome(pilotlight(policy), decided[0]), outcome([Awake("chat", policy)], decided[1])
    assert plain(resting.results) == plain(awake.results)
    assert set(decided[0]) <= set(decided[1])


def test_policies_are_asked_first_at_the_first_turn_and_then_once_in_each_period() -> None:
    policy = Script(period=2.0, urgent=True)
    simulate(Scenario((service(),)), Arrivals([0.25, 3.0]), [policy], first_turn=0.75, until=5.0, compiled=False)
    assert [seen.at for seen in policy.seen] == [0.75, 2.75, 3.0, 4.75]


def test_a_service_that_is_alone_with_a_long_request_is_asked_a_few_times_a_day() -> None:
    trace = Arrivals([1000.0], [3000.0], span=86_400.0)
    run = simulate(scenario(start=300.0), trace, pilotlight(OURS), compiled=False)
    assert run.results.services[0].latency_sum == pytest.approx(3300.0)
    assert run.steps < 60  # a step each hundred seconds while a replica is there, and a few around each change


def test_a_service_goes_from_zero_to_one_and_back() -> None:
    trace = Arrivals([100.0], span=1000.0)
    decisions: list[Decision] = []

    def keep(observed: Observed, order: Order) -> None:
        assert order.decision is not None
        decisions.append(order.decision)

    over = simulate(scenario(), trace, pilotlight(OURS), compiled=False, watch=keep)
    changes = [decision for before, decision in pairwise(decisions) if before.desired != decision.desired]
    assert [(decision.reason.value, decision.desired) for decision in changes] == [("wake", 1), ("sleep", 0)]
    assert changes[0].at == 100.0
    assert over.results.services[0].latency_sum == pytest.approx(15.0 + 3.0)
