"""Replay: decide again from recorded readings, and say what comes out differently.

By the same policy nothing may: that is how we know that a decision depends on nothing but what is recorded, and that a
new version decides as the old one did. By another policy it shows what that policy would have said, each time,
of the same readings. It does not show what would have happened: replicas that it would have ordered are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision
from autoscaler.decide.decision_json import decision_to_json
from autoscaler.decide.json_fields import NotJsonError, RecordError
from autoscaler.decide.records import (
    DecisionRecord,
    PolicyRecord,
    ReadingsRecord,
    Record,
    StartRecord,
    parse_record,
    record_line,
)
from autoscaler.policy.scaling_policy import ScalingPolicy


class ReplayError(Exception):
    """A recording cannot be replayed: names file, line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that came out differently. `was` and `now` are whole decisions; `why` names what differs first."""

    line: int
    at: float
    service: str
    was: Decision
    now: Decision
    why: str


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay found.

    decisions    how many recorded decisions were made again
    identical    how many of them came out the same, byte for byte
    differences  the others, in the order of the recording
    services     every service in it, by name
    undecided    readings without a recorded decision: what was under way when the recording ended
    truncated    what was said of a last line that is cut off, None when the recording is whole
    """

    decisions: int
    identical: int
    differences: tuple[Difference, ...]
    services: tuple[str, ...]
    undecided: int
    truncated: str | None


def replay(
    lines: Iterable[str], policies: Mapping[str, ScalingPolicy] | None = None, *, name: str = "recording"
) -> ReplayResult:
    """Decide again from `lines`, in their order, each service on its own.

    `policies` replaces the recorded policy of the services it names, for the whole recording; `name` is what errors
    call the file. A last line that is cut off, as a crash leaves it, ends the replay and is reported.

    Raises ReplayError, with file, line and what is wrong, for any other line that is not a record or comes where it
    cannot be, and for a policy for a service that the recording does not hold.
    """
    session = _Session(policies or {}, name)
    truncated = None
    for number, line, is_last in _numbered(lines):
        if not line.strip():
            continue
        try:
            record = parse_record(line)
        except RecordError as error:
            if is_last and isinstance(error, NotJsonError) and not line.endswith("\n"):
                truncated = f"{name}:{number}: the last line is cut off ({error}); everything before it was replayed"
                break
            raise ReplayError(f"{name}:{number}: {error}") from None
        session.take(record, line, number)
    return session.result(truncated)


class _Session:
    """The deciders of all services in one recording."""

    def __init__(self, policies: Mapping[str, ScalingPolicy], name: str) -> None:
        self._policies = policies
        self._name = name
        self._deciders: dict[str, Decider] = {}
        self._decided: dict[str, Decision] = {}
        self._differences: list[Difference] = []
        self._decisions = 0

    def take(self, record: Record, line: str, number: int) -> None:
        match record:
            case StartRecord(service, policy):
                self._decided.pop(service, None)
                self._deciders[service] = Decider(service, self._policies.get(service, policy))
            case PolicyRecord(service, policy):
                decider = self._decider(service, number)
                if service not in self._policies:
                    decider.change_policy(policy)
            case ReadingsRecord(service, observation):
                self._decided[service] = self._decider(service, number).step(observation)
            case DecisionRecord(decision):
                self._compare(decision, line, number)

    def result(self, truncated: str | None) -> ReplayResult:
        unknown = sorted(set(self._policies) - set(self._deciders))
        if unknown:
            there = ", ".join(sorted(self._deciders)) or "none"
            raise ReplayError(f"{self._name}: there is a policy for {unknown[0]}, but the services in it are: {there}")
        return ReplayResult(
            decisions=self._decisions,
            identical=self._decisions - len(self._differences),
            differences=tuple(self._differences),
            services=tuple(sorted(self._deciders)),
            undecided=len(self._decided),
            truncated=truncated,
        )

    def _decider(self, service: str, number: int) -> Decider:
        decider = self._deciders.get(service)
        if decider is None:
            raise ReplayError(f"{self._name}:{number}: nothing started {service} before this line")
        return decider

    def _compare(self, was: Decision, line: str, number: int) -> None:
        now = self._decided.pop(was.service, None)
        if now is None:
            raise ReplayError(f"{self._name}:{number}: there are no readings for this decision on {was.service}")
        self._decisions += 1
        if record_line(DecisionRecord(now)) != line.rstrip("\r\n"):
            self._differences.append(Difference(number, was.at, was.service, was, now, _why(was, now)))


def _why(was: Decision, now: Decision) -> str:
    """What differs, the most telling first; the sentence of the new decision when it is the number."""
    if was.desired != now.desired:
        return f"desired {was.desired} → {now.desired}: {now.explanation}"
    before, after = decision_to_json(was), decision_to_json(now)
    different = [name for name in before if before[name] != after[name]]
    if not different:
        return "the same decision, written differently"
    return f"desired {now.desired} as before, other {', '.join(different)}"


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str, bool]]:
    """Each line with its number, from 1, and whether it is the last one that is not blank."""
    ahead: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if ahead is not None:
            yield (*ahead, False)
        ahead = (number, line)
    if ahead is not None:
        yield (*ahead, True)
