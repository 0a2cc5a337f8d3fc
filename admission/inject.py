"""inject: the one function that puts a queue proxy into an InferenceService, for the command and for the webhook.

Pure: an object and settings in, edits or reasons out. It never changes what the user has said. Besides the sidecar it
adds what a service that sleeps needs, where nothing is said about it, and says so.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from admission.editor import Editor
from admission.edits import Edit, Operation, Path
from admission.predictor import Predictor, Refused, predictors_containers, read_predictor
from admission.record import Entry, RecordError, read, undone, written
from admission.sidecar import (
    DRAINED_HOOK,
    MODEL_CONTAINER,
    before_the_same_model,
    differing_policy,
    find_sidecar,
    record_of,
    same_model,
    sidecar,
    upgraded,
)
from admission.token_volume import mounts_token, put_volume, volume_entries
from autoscaler.policy.errors import PolicyError, PolicyErrors, Source, SourceMap
from autoscaler.policy.parse import read_policy
from autoscaler.policy.profiles import NO_PROFILES, Profiles
from autoscaler.policy.scaling_policy import ScalingMode, ScalingPolicy
from autoscaler.policy.settings import name_of
from autoscaler.serving.fields import FieldError
from autoscaler.serving.queue_proxy_flags import DRAIN_SECONDS

SCALING = "pilotlight.dev/scaling"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
_PREDICTOR: Path = ("spec", "predictor")
_CONTAINERS = ("spec", "predictor", "containers")
_GRACE: Path = (*_PREDICTOR, "terminationGracePeriodSeconds")
# Between the end of the drain and the kill: for the model to end by itself.
_MODEL_ENDS_SECONDS = 15


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """What an injection goes by besides the object.

    image            of the sidecar
    runtimes         the ServingRuntimes and ClusterServingRuntimes that are known
    upgrade          make a sidecar that is there anew: this image, and the policy as it is now
    first_port_only  accept that further ports of the model are gone from the Service
    """

    image: str
    runtimes: Sequence[Mapping[str, object]] = ()
    profiles: Profiles = NO_PROFILES
    upgrade: bool = False
    first_port_only: bool = False


@dataclass(frozen=True, slots=True)
class Injection:
    """What to change, perhaps nothing, and what a person should know of it."""

    edits: tuple[Edit, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why nothing can be done: each with its place and what to do about it."""

    reasons: tuple[PolicyError, ...]


def inject(
    inference_service: Mapping[str, object],
    settings: InjectionSettings,
    source_map: SourceMap | None = None,
    before: Mapping[str, object] | None = None,
) -> Injection | Refusals:
    """Put a queue proxy into `inference_service`.

    One that has it keeps it as it is, unless an upgrade is asked for. `before` is the object that this one replaces: as
    long as the model is the same, its sidecar is put back as it was, so that no pod restarts because of a newer image.
    Before another model, for which pods restart anyway, it is made anew.
    """
    try:
        policy = read_policy(inference_service, source_map, settings.profiles)
        predictor = read_predictor(
            inference_service, settings.runtimes, source_map, first_port_only=settings.first_port_only or _has(before)
        )
    except PolicyErrors as wrong:
        return Refusals(wrong.errors)
    except Refused as refused:
        # What has a sidecar already has it; its owner knows what he did.
        return _unchanged(()) if _has(inference_service) else Refusals(refused.reasons)
    if policy.mode is ScalingMode.OFF:
        return _unchanged((f'{SCALING} is "off": nothing is put in',))
    if _has(inference_service):
        return _present(inference_service, policy, predictor, settings)
    editor = Editor(inference_service)
    try:
        remarks = [*predictor.remarks, *_prepare(editor, policy, predictor, before)]
    except FieldError as error:
        return Refusals((PolicyError("", "", Source(name_of(inference_service)), "", str(error)),))
    entries = list(editor.entries)
    if editor.get(_CONTAINERS) is None:
        # What is left of the list when the sidecar is taken out again.
        predictor_body = editor.get(_PREDICTOR)
        had_before = isinstance(predictor_body, Mapping) and "containers" in predictor_body
        entries.append(Entry(_CONTAINERS, [], had_before))
    fresh = _sidecar(editor, policy, predictor, settings, written([*volume_entries(editor), *entries]))
    new = _reused(before, fresh, predictor)
    if editor.get(_CONTAINERS) is None:
        editor.edit(Edit(Operation.ADD, _CONTAINERS, [new]))
    else:
        editor.edit(Edit(Operation.ADD, (*_CONTAINERS, len(_containers(editor.document))), new))
    put_volume(editor, new)
    return Injection(tuple(editor.edits), tuple(remarks))


def remove(inference_service: Mapping[str, object]) -> Injection | Refusals:
    """Take out exactly what an injection has put in, and what has not been changed since."""
    index = find_sidecar(_containers(inference_service))
    if index is None:
        return _unchanged(("there is no queue proxy in it",))
    record = record_of(_containers(inference_service)[index])
    try:
        if record is None:
            raise RecordError(
                "it was not put in by an injection, so nobody knows what belongs to it; take it out by hand"
            )
        entries = read(record)
    except RecordError as error:
        where = Source(name_of(inference_service))
        return Refusals((PolicyError(f"spec.predictor.containers[{index}]", "", where, "", str(error)),))
    editor = Editor(inference_service)
    editor.edit(Edit(Operation.REMOVE, (*_CONTAINERS, index)))
    remarks = []
    for step in undone(editor.document, entries):
        if isinstance(step, Edit):
            editor.edit(step)
        else:
            remarks.append(step)
    if editor.get(("metadata", "annotations", SCALING)) not in (None, "off"):
        remarks.append(f'where the webhook is installed, set {SCALING} to "off", or it is put in again')
    return Injection(tuple(editor.edits), tuple(remarks))


def lagging(
    inference_service: Mapping[str, object], policy: ScalingPolicy, predictor: Predictor
) -> tuple[tuple[str, str, str], ...]:
    """The policy's flags of the sidecar that an injection put in, and what they would be now, where the two differ."""
    editor = Editor(inference_service)
    fresh = _sidecar(editor, policy, predictor, InjectionSettings(""), "")
    containers = _containers(inference_service)
    index = find_sidecar(containers)
    return () if index is None or record_of(containers[index]) is None else differing_policy(containers[index], fresh)


def _present(
    inference_service: Mapping[str, object], policy: ScalingPolicy, predictor: Predictor, settings: InjectionSettings
) -> Injection:
    """The sidecar is there: leave it, or make it anew."""
    containers = _containers(inference_service)
    index = find_sidecar(containers)
    assert index is not None
    old = containers[index]
    editor = Editor(inference_service)
    if not settings.upgrade:
        put_volume(editor, old)  # whoever applied a list of volumes of his own has not thought of ours
        differences = lagging(inference_service, policy, predictor)
        return Injection(
            tuple(editor.edits),
            tuple(
                f"its queue proxy has {flag}={old or '(none)'}, and would get {new or '(none)'} today; `pilotlight "
                "inject --upgrade` brings it up to date and restarts the pods"
                for flag, old, new in differences
            ),
        )
    fresh = _sidecar(editor, policy, predictor, settings, _record(editor, old))
    new = upgraded(old, fresh if predictor.known else before_the_same_model(old, fresh))
    for name, value in new.items():
        if old.get(name) != value:
            editor.edit(Edit(Operation.REPLACE if name in old else Operation.ADD, (*_CONTAINERS, index, name), value))
    put_volume(editor, new)
    if not editor.edits:
        return _unchanged(predictor.remarks)
    return Injection(
        tuple(editor.edits), (*predictor.remarks, "the sidecar is made anew: applying this restarts the pods")
    )


def _record(editor: Editor, old: Mapping[str, object]) -> str:
    """The record of a sidecar that is made anew, and what is put in by that."""
    record = record_of(old) or "[]"
    try:
        return record if mounts_token(old) else written([*volume_entries(editor), *read(record)])
    except RecordError:
        return record


def _prepare(
    editor: Editor, policy: ScalingPolicy, predictor: Predictor, before: Mapping[str, object] | None
) -> list[str]:
    """Everything besides the sidecar, where nothing is said about it. Returns what was done, for a person."""
    done = _annotations(editor, policy)
    strategy: Path = (*_PREDICTOR, "deploymentStrategy")
    unavailable: Path = (*strategy, "rollingUpdate", "maxUnavailable")
    if editor.get(unavailable) is None and editor.get((*strategy, "type")) in (None, "RollingUpdate"):
        editor.put(unavailable, 1)
        done.append(
            "deploymentStrategy.rollingUpdate.maxUnavailable: 1, so that a wake from zero does not show the service as "
            "not ready; a rollout may then replace a single replica before the new one is ready"
        )
    if editor.get(_GRACE) is None:
        grace = _grace(policy, before)
        editor.put(_GRACE, grace)
        done.append(f"terminationGracePeriodSeconds: {grace}, so that what a replica has accepted is finished")
    if predictor.custom and editor.get((*predictor.path, "name")) != MODEL_CONTAINER:
        editor.put((*predictor.path, "name"), MODEL_CONTAINER)
        done.append(f"the model's container is now named {MODEL_CONTAINER}, as KServe would name it if it were alone")
    lifecycle = predictor.container.get("lifecycle")
    if isinstance(lifecycle, Mapping) and lifecycle.get("preStop") is not None:
        done.append("the model's own preStop stays: it has to keep the model up until its last request is answered")
    else:
        editor.put((*predictor.path, "lifecycle", "preStop"), dict(DRAINED_HOOK))
        done.append("the model's preStop waits until the queue proxy has drained")
    return done


def _annotations(editor: Editor, policy: ScalingPolicy) -> list[str]:
    done = []
    on_the_object, on_the_predictor = ("metadata", "annotations"), (*_PREDICTOR, "annotations")
    both: tuple[Path, ...] = (on_the_object, on_the_predictor)
    if all(editor.get((*place, SCALING)) is None for place in both):
        editor.put((*on_the_object, SCALING), "on")
        done.append(f'{SCALING}: "on"')
    if all(editor.get((*place, AUTOSCALER_CLASS)) is None for place in both):
        if policy.mode is ScalingMode.SHADOW:
            done.append(f"{AUTOSCALER_CLASS} is left out: in shadow mode whoever scales it now goes on")
        else:
            # On the object it would hold for the other components too, and take their autoscaler away.
            others = [name for name in ("transformer", "explainer") if editor.get(("spec", name)) is not None]
            editor.put((*(on_the_predictor if others else on_the_object), AUTOSCALER_CLASS), "external")
            why = (
                f"on the predictor, since {' and '.join(others)} stays with KServe"
                if others
                else "KServe then creates "
            )
            done.append(f"{AUTOSCALER_CLASS}: external; {why}{'' if others else 'no HorizontalPodAutoscaler'}")
    return done


def _sidecar(
    editor: Editor, policy: ScalingPolicy, predictor: Predictor, settings: InjectionSettings, record: str
) -> dict[str, object]:
    name = editor.get(("metadata", "name"))
    grace = editor.get(_GRACE)
    drain = _drain(grace) if isinstance(grace, int) else policy.timeouts.total or DRAIN_SECONDS
    service_name = name if isinstance(name, str) else ""
    return sidecar(settings.image, service_name, predictor.model, policy, drain, record)


def _reused(before: Mapping[str, object] | None, fresh: dict[str, object], predictor: Predictor) -> dict[str, object]:
    """The sidecar as it was, as long as the model is the same; else the new one.

    Never the image of one with the arguments of the other: an image knows the flags of its own version only.
    """
    containers = _containers(before) if before is not None else []
    index = find_sidecar(containers)
    if index is None:
        return fresh
    old = containers[index]
    if not predictor.known or same_model(old, fresh):
        return copy.deepcopy(dict(old))
    return fresh


def _grace(policy: ScalingPolicy, before: Mapping[str, object] | None) -> int:
    """Seconds for everything that a pod does at its end."""
    if before is not None and _has(before):
        known = Editor(before).get(_GRACE)
        if isinstance(known, int):
            return known
    return math.ceil(policy.timeouts.total or DRAIN_SECONDS) + _MODEL_ENDS_SECONDS


def _drain(grace: int) -> float:
    """The part of the grace period that the drain may take; the rest is the model's."""
    return float(max(0, grace - min(_MODEL_ENDS_SECONDS, grace // 3)))


def _has(inference_service: Mapping[str, object] | None) -> bool:
    return inference_service is not None and find_sidecar(_containers(inference_service)) is not None


def _containers(inference_service: Mapping[str, object]) -> list[Mapping[str, object]]:
    return [entry if isinstance(entry, Mapping) else {} for entry in predictors_containers(inference_service)]


def _unchanged(remarks: Sequence[str]) -> Injection:
    return Injection((), tuple(remarks))
