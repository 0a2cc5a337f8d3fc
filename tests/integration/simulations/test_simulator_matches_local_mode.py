"""What is simulated is what happens: one load through `pilotlight up`, all of it real, and through the simulator."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from autoscaler.cluster.interface import ServiceView
from autoscaler.controller.service import ServiceControl
from autoscaler.controller.settings import Cadence
from autoscaler.decide.records import DecisionRecord, ReadingsRecord, StartRecord, parse_record, record_line
from benchmarks.simulator_fidelity_local import SERVICE, Measured, RealRun, run_for_real, service, simulated
from simulations.policies.pilotlight import Pilotlight


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """Two wakes, a steady load and a burst, recorded."""
    return run_for_real(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def runs(real: RealRun) -> list[Measured]:
    """The same load in the simulator."""
    return simulated(real, seeds=range(5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("figure", "within"),
    [
        pytest.param(lambda run: run.p50, 0.10, id="p50"),
        pytest.param(lambda run: run.p95, 0.10, id="p95"),
        pytest.param(lambda run: run.replica_seconds, 0.10, id="replica-seconds"),
        pytest.param(lambda run: run.cold, 0.05, id="requests that waited for a wake"),
    ],
)
def test_a_simulation_tells_what_really_happens(
    real: RealRun, runs: list[Measured], figure: Callable[[Measured], float], within: float
) -> None:
    assert statistics.mean(map(figure, runs)) == pytest.approx(figure(real.measured), rel=within)


@pytest.mark.slow
def test_recorded_readings_lead_controller_and_simulator_to_the_same_bytes(real: RealRun) -> None:
    lines = real.recording.read_text().splitlines()
    records = [parse_record(line) for line in lines]
    policy = next(record.policy for record in records if isinstance(record, StartRecord))
    control, simulated_policy = _controller(), Pilotlight(SERVICE, policy)
    by_controller, by_simulator = [], [record_line(StartRecord(SERVICE, policy))]
    for record in records:
        if not isinstance(record, ReadingsRecord):
            continue
        evaluation = control.decide(record.observation, record.observation.at)
        assert evaluation is not None
        by_controller += [record_line(record) for record in evaluation.records]
        decision = simulated_policy.decide(record.observation)
        by_simulator += [record_line(record), record_line(DecisionRecord(decision))]
    assert len(lines) > 40
    assert by_controller == lines
    assert by_simulator == lines


def _controller() -> ServiceControl:
    """The controller's own side of a service, which nothing has happened to yet."""
    view = ServiceView(SERVICE, service(), 1, 0, (), False, 8_081)
    control = ServiceControl(view, Cadence(), 0.0)
    control.viewed(view, 0.0)
    return control
