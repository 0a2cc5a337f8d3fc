"""One stream of readings, two ways to decide on it: the controller's code and the simulator's. The same bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.decide.records import DecisionRecord, PolicyRecord, ReadingsRecord, StartRecord, record_line
from autoscaler.policy.scaling_policy import ScalingPolicy
from simulations.own_policy import default_policy
from simulations.plant.observed import Observed
from simulations.policies.interface import Order
from simulations.policies.pilotlight import pilotlight
from simulations.recorded import read_recording
from simulations.replay import ReplayError, replay
from simulations.run import simulate
from tests.unit.simulations.experiment.simulated_studies import setup

OURS = replace(default_policy(4), stable_window_seconds=20.0)
SCALED_SLOWLY = replace(default_policy(4), scale_down_delay_seconds=45.0, target_burst_capacity=-1.0)


def simulated_recording(policy: ScalingPolicy) -> list[str]:
    """What a controller would have recorded of a simulated run."""
    world = setup()
    name = world.scenario.services[0].name
    lines = [record_line(StartRecord(name, policy))]

    def record(observed: Observed, order: Order) -> None:
        assert order.decision is not None
        lines.append(record_line(ReadingsRecord(name, observed.observation())))
        lines.append(record_line(DecisionRecord(order.decision)))

    simulate(world.scenario, world.trace, pilotlight(policy), watch=record, compiled=False)
    return lines


@pytest.fixture(scope="module", params=[OURS, SCALED_SLOWLY], ids=["ours", "slowly"])
def lines(request: pytest.FixtureRequest) -> list[str]:
    policy = request.param
    assert isinstance(policy, ScalingPolicy)
    return simulated_recording(policy)


def test_the_controllers_code_decides_as_the_simulator_did(lines: list[str]) -> None:
    result = replay(lines)
    assert result.decisions > 100
    assert result.differences == ()


def test_the_simulators_policy_decides_recorded_readings_to_the_byte(lines: list[str]) -> None:
    recording = read_recording(lines)
    assert recording.identical == recording.decisions > 100
    assert recording.first_different is None
    assert any(recording.wakes.values())


def test_a_policy_that_changed_on_the_way_changes_here(lines: list[str]) -> None:
    name = setup().scenario.services[0].name
    half = len(lines) // 2 | 1
    changed = [*lines[:half], record_line(PolicyRecord(name, replace(OURS, min_replicas=3))), *lines[half:]]
    recording = read_recording(changed)
    assert recording.policies[name].min_replicas == 3
    assert recording.identical == replay(changed).identical
    assert recording.identical < recording.decisions
    assert recording.first_different is not None


def test_a_decision_that_was_changed_by_hand_is_found(lines: list[str]) -> None:
    at = next(number for number, line in enumerate(lines) if '"kind":"decision"' in line)
    forged = [*lines[:at], lines[at].replace('"desired":', '"desired":1'), *lines[at + 1 :]]
    assert read_recording(forged).first_different == at + 1


def test_a_line_that_is_cut_off_at_the_end_is_left_out_and_elsewhere_is_an_error(lines: list[str]) -> None:
    assert read_recording([*lines, lines[-1][:20]]).decisions == read_recording(lines).decisions
    with pytest.raises(ReplayError, match="recording:2"):
        read_recording([lines[0], lines[1][:20], *lines[2:]])
    with pytest.raises(ReplayError, match="nothing started"):
        read_recording(lines[1:])
