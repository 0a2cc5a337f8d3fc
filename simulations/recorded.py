"""Recordings of a live controller in the simulator: first the same decisions, to the byte; then what if.

Recorded readings, given to the simulator's own policy object, must come to the decisions that were recorded: else what
is simulated is not what was deployed, and nothing that follows would mean anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoscaler.decide.json_fields import NotJsonError, RecordError
from autoscaler.decide.records import (
    DecisionRecord,
    PolicyRecord,
    ReadingsRecord,
    StartRecord,
    parse_record,
    record_line,
)
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from simulations.policies.pilotlight import Pilotlight
from simulations.replay import ReplayError


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording says beside its arrivals.

    decisions, identical  how many there are, and how many the simulator's policy makes again to the byte
    first_different       the line of the first that differs; None without one
    policies              by service, those in force at the end
    wakes                 by service, what controllers measured of starts: each value that nine of ten starts kept, once
    """

    decisions: int
    identical: int
    first_different: int | None
    policies: Mapping[str, ScalingPolicy]
    wakes: Mapping[str, tuple[float, ...]]


def read_recording(lines: Iterable[str], name: str = "recording") -> Recording:
    """Decide again with the simulator's policies. A last line that is cut off is left out. Raises ReplayError."""
    session = _Session(name)
    cut: tuple[int, RecordError] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if cut is not None:
            raise ReplayError(f"{name}:{cut[0]}: {cut[1]}")
        try:
            record = parse_record(line)
        except NotJsonError as error:
            cut = number, error  # well, if it is the last one: a process that was killed leaves such a line
            continue
        except RecordError as error:
            raise ReplayError(f"{name}:{number}: {error}") from None
        session.take(record, line, number)
    return session.recording()


class _Session:
    """All services of one recording."""

    def __init__(self, name: str) -> None:
        self._pending: dict[str, str] = {}
        self._name = name
        self._deciders: dict[str, Pilotlight] = {}
        self._policies: dict[str, ScalingPolicy] = {}
        self._wakes: dict[str, dict[float, None]] = {}
        self._decisions = self._identical = 0
        self._first_different: int | None = None

    def take(
        self, record: StartRecord | PolicyRecord | ReadingsRecord | DecisionRecord, line: str, number: int
    ) -> None:
        match record:
            case StartRecord(service, policy):
                self._deciders[service] = Pilotlight(service, policy)
                self._policies[service] = policy
                self._pending.pop(service, None)
            case PolicyRecord(service, policy):
                self._decider(service, number).change_policy(policy)
                self._policies[service] = policy
            case ReadingsRecord(service, observation):
                self._told(service, observation, number)
            case DecisionRecord(decision):
                self._compare(decision.service, line.rstrip("\r\n"), number)

    def recording(self) -> Recording:
        return Recording(
            self._decisions,
            self._identical,
            self._first_different,
            self._policies,
            {service: tuple(values) for service, values in self._wakes.items()},
        )

    def _told(self, service: str, observation: Observation, number: int) -> None:
        decision = self._decider(service, number).decide(observation)
        self._pending[service] = record_line(DecisionRecord(decision))
        if observation.wake_seconds is not None:
            self._wakes.setdefault(service, {})[observation.wake_seconds] = None

    def _compare(self, service: str, line: str, number: int) -> None:
        made = self._pending.pop(service, None)
        if made is None:
            raise ReplayError(f"{self._name}:{number}: there are no readings for this decision on {service}")
        self._decisions += 1
        if made == line:
            self._identical += 1
        elif self._first_different is None:
            self._first_different = number

    def _decider(self, service: str, number: int) -> Pilotlight:
        decider = self._deciders.get(service)
        if decider is None:
            raise ReplayError(f"{self._name}:{number}: nothing started {service} before this line")
        return decider
