"""The two webhooks: one puts the queue proxy in, the other refuses policies with mistakes. Both are pure.

Only InferenceServices that opted in are looked at. Neither stands in the way of what is none of its business: an object
that is being deleted, one that cannot be injected, or one whose mistakes were there before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from admission.edits import json_patch
from admission.inject import InjectionSettings, Refusals, inject
from admission.predictor import MODEL_FORMS
from admission.review import DEEPEST, Request, Verdict
from autoscaler.policy.errors import PolicyError, PolicyErrors
from autoscaler.policy.names import SCALING
from autoscaler.policy.parse import read_policy
from autoscaler.policy.profiles import NO_PROFILES, PROFILE, Profiles

_OPERATIONS = ("CREATE", "UPDATE")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of the cluster around an object; `profiles` None: they cannot be read just now."""

    runtimes: Sequence[Mapping[str, object]] = ()
    profiles: Profiles | None = NO_PROFILES


def concerns(request: Request) -> bool:
    """Whether a request is about an InferenceService that opted in and is to stay."""
    if request.kind != "InferenceService" or request.operation not in _OPERATIONS or request.too_deep:
        return False
    metadata = request.body.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("deletionTimestamp") is not None:
        return False
    return opted_in(request.body)


def opted_in(inference_service: Mapping[str, object]) -> bool:
    """Whether scaling is asked for, with whatever value but `off`."""
    spec = inference_service.get("spec")
    for holder in (inference_service.get("metadata"), spec.get("predictor") if isinstance(spec, Mapping) else None):
        annotations = holder.get("annotations") if isinstance(holder, Mapping) else None
        if isinstance(annotations, Mapping) and annotations.get(SCALING) is not None:
            return bool(annotations[SCALING] != "off")
    return False


def needs_runtimes(request: Request) -> bool:
    """Whether an injection could depend on a ServingRuntime."""
    spec = request.body.get("spec")
    predictor = spec.get("predictor") if isinstance(spec, Mapping) else None
    return isinstance(predictor, Mapping) and any(form in predictor for form in MODEL_FORMS)


def mutate(request: Request, image: str, around: Surroundings) -> Verdict:
    """Put the queue proxy in where it is missing; never anything else."""
    if request.too_deep:
        return Verdict(warnings=(f"pilotlight: nested more than {DEEPEST} deep, and not looked at",))
    if not concerns(request):
        return Verdict()
    settings = InjectionSettings(image, around.runtimes, around.profiles or NO_PROFILES)
    result = inject(request.body, settings, before=request.before)
    if isinstance(result, Refusals):
        if _mistakes_now_and_before(request, around)[0]:
            return Verdict()  # it will be refused, for these very reasons
        why = tuple(f"pilotlight: no queue proxy was put in: {_said(reason)}" for reason in result.reasons)
        return Verdict(warnings=why)
    return Verdict(
        patch=tuple(json_patch(result.edits)), warnings=tuple(f"pilotlight: {remark}" for remark in result.remarks)
    )


def validate(request: Request, around: Surroundings) -> Verdict:
    """Refuse a policy with mistakes, all of them in one message; those that were there before only warn."""
    if not concerns(request):
        return Verdict()
    new, before = _mistakes_now_and_before(request, around)
    old = tuple(f"pilotlight: {mistake}" for mistake in before)
    if not new:
        return Verdict(warnings=old)
    count = f"{len(new)} mistakes" if len(new) > 1 else "a mistake"
    return Verdict(denied=f"the scaling policy has {count}:\n" + "\n".join(f"  {line}" for line in new), warnings=old)


def _mistakes_now_and_before(request: Request, around: Surroundings) -> tuple[list[str], list[str]]:
    """Mistakes that are new with this request, and those that it leaves as they were."""
    before = {_said(error) for error in _mistakes(request.before, around)} if request.before else set()
    now = [_said(error) for error in _mistakes(request.body, around)]
    return [mistake for mistake in now if mistake not in before], [mistake for mistake in now if mistake in before]


def _mistakes(inference_service: Mapping[str, object], around: Surroundings) -> list[PolicyError]:
    try:
        read_policy(inference_service, profiles=around.profiles or NO_PROFILES)
    except PolicyErrors as wrong:
        known = around.profiles is not None
        return [error for error in wrong.errors if known or error.key != PROFILE]
    return []


def _said(error: PolicyError) -> str:
    """A mistake without the object's name, which whoever reads it has just typed."""
    return str(error).removeprefix(f"{error.source}: ").replace(f" ({error.source})", "")
