"""What is known of a service, as samples of the metrics that the catalogue declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from autoscaler.cluster.interface import ReplicaPhase
from autoscaler.controller.metrics import Sample, labels_of
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.service.faults import FaultKind
from autoscaler.decide.decision import Decision
from autoscaler.policy.scaling_policy import ScalingMode
from autoscaler.signals.gpu import GpuReadings
from autoscaler.signals.present import LiveSources
from autoscaler.signals.reading import Known, Missing


def service_samples(control: ServiceControl, now: float) -> Iterator[Sample]:
    """Every gauge and counter of one service, as of `now`."""
    labels = labels_of(control.view.service)
    phases = Counter(replica.phase for replica in control.view.replicas)
    faults = Counter(fault.kind for fault in control.faults.current)
    yield "pilotlight_wanted_replicas", labels, control.wanted
    for phase in ReplicaPhase:
        yield "pilotlight_replicas", (*labels, phase.value), phases[phase]
    for mode in ScalingMode:
        yield "pilotlight_mode", (*labels, mode.value), mode is control.policy.mode
    for code in sorted({refusal.code for refusal in control.view.refused}):
        yield "pilotlight_refused", (*labels, code), 1
    for kind in FaultKind:
        yield "pilotlight_faults", (*labels, kind.value), faults[kind]
        yield "pilotlight_errors", (*labels, kind.value), control.faults.counts[kind]
    for reason, times in control.reasons.items():
        yield "pilotlight_decisions", (*labels, reason.value), times
    expected = control.wakes.expected_seconds()
    if expected is not None:
        yield "pilotlight_expected_wake_seconds", labels, expected
    yield from _readings(control.live(now), labels)
    yield from _gpus(control.gpus(now), labels)
    if control.history.latest is not None:
        yield from _decision(control.history.latest, labels)


def _readings(live: LiveSources, labels: tuple[str, ...]) -> Iterator[Sample]:
    readings = {"in_flight": live.in_flight(), "held": live.held(), "queued": live.queued()}
    for name, reading in readings.items():
        if not isinstance(reading, Missing):
            yield "pilotlight_reading_age_seconds", (*labels, name), reading.age
    for name, reading in (("in_flight", readings["in_flight"]), ("held", readings["held"])):
        if isinstance(reading, Known):
            yield f"pilotlight_requests_{name}", labels, reading.value


def _gpus(gpus: GpuReadings, labels: tuple[str, ...]) -> Iterator[Sample]:
    for name, reading in (("gpu_utilization", gpus.utilization), ("gpu_memory", gpus.memory)):
        if not isinstance(reading, Missing):
            yield "pilotlight_reading_age_seconds", (*labels, name), reading.age
        if isinstance(reading, Known):
            yield f"pilotlight_{name}_ratio", labels, reading.value


def _decision(decision: Decision, labels: tuple[str, ...]) -> Iterator[Sample]:
    yield "pilotlight_desired_replicas", labels, decision.desired
    yield "pilotlight_panic", labels, decision.panic
    yield "pilotlight_excess_burst_capacity", labels, decision.excess_burst_capacity
    for candidate in decision.candidates:
        signal = (*labels, candidate.signal.value)
        yield "pilotlight_signal_target", signal, candidate.target
        if isinstance(candidate.reading, Known):
            yield "pilotlight_signal_value", signal, candidate.reading.value
        if candidate.replicas is not None:
            yield "pilotlight_signal_replicas", signal, candidate.replicas
