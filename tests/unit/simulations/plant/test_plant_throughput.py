"""Throughput is measured the same where a policy is not asked whose decisions can only repeat."""

from __future__ import annotations

from itertools import accumulate

from autoscaler.policy.scaling_policy import ScalingPolicy
from simulations.policies.pilotlight import Pilotlight
from simulations.run import simulate
from simulations.scenario import MeasuredSeconds, Scenario, ServiceSpec, StartDraws
from tests.unit.simulations.plant.plant_worlds import Arrivals, Awake

OURS = ScalingPolicy(target=1.0, target_utilization=1.0, container_concurrency=1)


def test_spans_in_which_throughput_is_measured_end_at_the_same_turns_where_steps_are_left_out() -> None:
    # One after the other without a pause: ten that are short and one that is long, in which a span ends.
    seconds = [10.0, *([1.0] * 10 + [40.0]) * 8]
    at = [20.25, *accumulate(seconds[1:-1], initial=50.25)]
    trace = Arrivals(at, seconds, span=500.0)
    spec = ServiceSpec("chat", MeasuredSeconds(3.0), StartDraws.of("a start", 15.0), limit=1)
    world = Scenario((spec,))
    resting, awake = Pilotlight("chat", OURS), Awake("chat", OURS)
    steps = [simulate(world, trace, [policy], compiled=False).steps for policy in (resting, awake)]
    left_out, asked = resting._decider._state, awake.inner._decider._state
    assert left_out is not None
    assert asked is not None
    assert len(asked.throughput.measured) > 5
    assert left_out.throughput == asked.throughput
    assert steps[0] < steps[1]
