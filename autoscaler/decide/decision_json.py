"""A Decision as JSON and back: the one form that history, the API and recordings share."""

from __future__ import annotations

from autoscaler.decide.decision import Candidate, Decision, Limit, LimitName, Phase, Reason, Signal
from autoscaler.decide.json_fields import Fields, as_object
from autoscaler.decide.observation_json import counts_from_json, counts_to_json, reading_from_json, reading_to_json

_FIELDS = (
    *("service", "at", "phase", "replicas", "candidates", "winner", "limits", "desired", "reason", "panic"),
    *("excess_burst_capacity", "activator_in_path", "explanation"),
)


def decision_to_json(decision: Decision) -> dict[str, object]:
    """What `decision_from_json` reads back to an equal value."""
    return {
        "service": decision.service,
        "at": float(decision.at),
        "phase": decision.phase.value,
        "replicas": counts_to_json(decision.replicas),
        "candidates": [_candidate_to_json(candidate) for candidate in decision.candidates],
        "winner": None if decision.winner is None else decision.winner.value,
        "limits": [
            {"name": limit.name.value, "before": limit.before, "after": limit.after} for limit in decision.limits
        ],
        "desired": decision.desired,
        "reason": decision.reason.value,
        "panic": decision.panic,
        "excess_burst_capacity": decision.excess_burst_capacity,
        "activator_in_path": decision.activator_in_path,
        "explanation": decision.explanation,
    }


def decision_from_json(body: object) -> Decision:
    """Raises RecordError."""
    fields = Fields(as_object(body, "decision"), "decision")
    fields.only(*_FIELDS)
    return Decision(
        service=fields.text("service"),
        at=fields.number("at"),
        phase=fields.one_of("phase", Phase),
        replicas=counts_from_json(fields.inner("replicas")),
        candidates=fields.items("candidates", _candidate_from_json),
        winner=fields.one_of_or_none("winner", Signal),
        limits=fields.items("limits", _limit_from_json),
        desired=fields.count("desired"),
        reason=fields.one_of("reason", Reason),
        panic=fields.flag("panic"),
        excess_burst_capacity=fields.whole("excess_burst_capacity"),
        activator_in_path=fields.flag("activator_in_path"),
        said=fields.text("explanation"),
    )


def _candidate_to_json(candidate: Candidate) -> dict[str, object]:
    return {
        "signal": candidate.signal.value,
        "reading": reading_to_json(candidate.reading),
        "target": float(candidate.target),
        "replicas": candidate.replicas,
    }


def _candidate_from_json(body: object, path: str) -> Candidate:
    fields = Fields(as_object(body, path), path)
    fields.only("signal", "reading", "target", "replicas")
    unknown = fields.body.get("replicas", 0) is None
    return Candidate(
        signal=fields.one_of("signal", Signal),
        reading=reading_from_json(fields.inner("reading")),
        target=fields.number("target"),
        replicas=None if unknown else fields.count("replicas"),
    )


def _limit_from_json(body: object, path: str) -> Limit:
    fields = Fields(as_object(body, path), path)
    fields.only("name", "before", "after")
    return Limit(fields.one_of("name", LimitName), fields.count("before"), fields.count("after"))
