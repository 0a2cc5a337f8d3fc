"""Records: readings and decisions as JSON lines that are the same bytes for the same values.

A recording is proof: decided again from its readings, it must give its decisions, to the byte. So there is one way to
write each value: keys sorted, no spaces, floats as their shortest exact form, never NaN. Each line stands alone:

    {"kind":"start","policy":{...},"service":"default/chat","version":1}    a new decider, with nothing remembered
    {"kind":"policy","policy":{...},"service":...}                          its policy changed
    {"kind":"readings","readings":{...},"service":...}                      what it was told
    {"kind":"decision","decision":{...},"service":...}                      what it decided on that

Reading is strict: a line is a whole Record or a RecordError that says what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.decide.decision import Decision
from autoscaler.decide.decision_json import decision_from_json, decision_to_json
from autoscaler.decide.json_fields import Fields, NotJsonError, RecordError, as_object
from autoscaler.decide.observation_json import observation_from_json, observation_to_json
from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class StartRecord:
    """A decider began for `service`, by `policy`."""

    service: str
    policy: ScalingPolicy


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """The policy of `service` was replaced."""

    service: str
    policy: ScalingPolicy


@dataclass(frozen=True, slots=True)
class ReadingsRecord:
    """The decider of `service` was told this."""

    service: str
    observation: Observation


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """The decider of `decision.service` answered this."""

    decision: Decision


Record = StartRecord | PolicyRecord | ReadingsRecord | DecisionRecord


def canonical_json(body: Mapping[str, object]) -> str:
    """The one text for this object. Raises ValueError for NaN and infinity."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def record_line(record: Record) -> str:
    """The line for this record, without the newline."""
    return canonical_json(_record_to_json(record))


def _record_to_json(record: Record) -> dict[str, object]:
    match record:
        case StartRecord(service, policy):
            return {"kind": "start", "version": RECORD_VERSION, "service": service, "policy": policy_to_json(policy)}
        case PolicyRecord(service, policy):
            return {"kind": "policy", "service": service, "policy": policy_to_json(policy)}
        case ReadingsRecord(service, observation):
            return {"kind": "readings", "service": service, "readings": observation_to_json(observation)}
        case DecisionRecord(decision):
            return {"kind": "decision", "service": decision.service, "decision": decision_to_json(decision)}


def parse_record(line: str) -> Record:
    """Read one line. Raises RecordError, which names what is wrong."""
    fields = Fields(as_object(_decoded(line), "a record"), "")
    kind, service = fields.text("kind"), fields.text("service")
    match kind:
        case "start":
            version = fields.whole("version")
            if version != RECORD_VERSION:
                raise RecordError(f"version {version} of this format is not known, only {RECORD_VERSION}")
            return StartRecord(service, _policy(fields.body.get("policy")))
        case "policy":
            return PolicyRecord(service, _policy(fields.body.get("policy")))
        case "readings":
            return ReadingsRecord(service, observation_from_json(fields.body.get("readings")))
        case "decision":
            decision = decision_from_json(fields.body.get("decision"))
            if decision.service != service:
                raise RecordError(f"decision.service is {decision.service!r}, not {service!r}")
            return DecisionRecord(decision)
    raise RecordError(f"kind must be start, policy, readings or decision, not {kind!r:.80}")


def _decoded(line: str) -> object:
    try:
        body: object = json.loads(line, parse_constant=_no_constant)
    except RecursionError:
        raise RecordError("not JSON that can be read: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:
        raise RecordError(f"not JSON that can be read: {error}") from None
    return body


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number here")


def _policy(body: object) -> ScalingPolicy:
    try:
        return policy_from_json(body)
    except PolicyErrors as error:
        raise RecordError(f"policy: {'; '.join(str(error).splitlines())}") from None
