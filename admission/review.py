"""AdmissionReview, version v1: what the API server asks, and how it is answered.

What is in a review was written by anybody who may create an InferenceService. So everything is bounded and checked
before it is looked at, and whatever is odd about an object that this webhook is not asked to refuse lets it pass with a
word: a webhook that falls over must not be what keeps a cluster from working.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

API_VERSION = "admission.k8s.io/v1"
DEEPEST = 100
_MOST_WARNINGS = 12
_LONGEST_WARNING = 250
"""The API server cuts longer ones, and drops what is beyond 4 KiB in all."""
_LONGEST_MESSAGE = 16_384
_LONGEST_UID = 128


class ReviewError(ValueError):
    """That is no AdmissionReview that could be answered: says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `before` is the object that is replaced; None where there is none.

    too_deep  the objects are nested deeper than anything that we read, and are empty here
    """

    uid: str
    operation: str
    kind: str
    body: Mapping[str, object]
    before: Mapping[str, object] | None
    too_deep: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: `denied` says why not, "" lets it pass; `patch` is a JSON Patch."""

    denied: str = ""
    patch: Sequence[Mapping[str, object]] = ()
    warnings: Sequence[str] = ()


def read_review(data: bytes) -> Request:
    """The question in a request's body. Raises ReviewError."""
    try:
        review = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ReviewError(f"not JSON: {str(error)[:200]}") from error
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or review.get("kind") != "AdmissionReview":
        raise ReviewError("not an AdmissionReview with a request")
    if review.get("apiVersion") != API_VERSION:
        raise ReviewError(f"apiVersion must be {API_VERSION}")
    uid = request.get("uid")
    if not isinstance(uid, str) or not 0 < len(uid) <= _LONGEST_UID or not uid.isprintable():
        raise ReviewError("request.uid is not one")
    kind = request.get("kind")
    body, before = request.get("object"), request.get("oldObject")
    too_deep = not (_shallow(body) and _shallow(before))
    return Request(
        uid=uid,
        operation=str(request.get("operation")),
        kind=str(kind.get("kind")) if isinstance(kind, dict) else "",
        body=body if isinstance(body, dict) and not too_deep else {},
        before=before if isinstance(before, dict) and not too_deep else None,
        too_deep=too_deep,
    )


def answer(uid: str, verdict: Verdict) -> bytes:
    """The body of the answer."""
    response: dict[str, object] = {"uid": uid, "allowed": not verdict.denied}
    if verdict.denied:
        response["status"] = {
            "code": 422,
            "reason": "Invalid",
            "status": "Failure",
            "message": _cut(verdict.denied, _LONGEST_MESSAGE),
        }
    elif verdict.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(list(verdict.patch)).encode()).decode()
    if verdict.warnings:
        shown = [_cut(warning, _LONGEST_WARNING) for warning in verdict.warnings[:_MOST_WARNINGS]]
        response["warnings"] = shown
    return json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}).encode()


def _shallow(value: object) -> bool:
    """Whether `value` is nested at most DEEPEST deep; without recursion, since that is what it guards."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
