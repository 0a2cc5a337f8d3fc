"""inject: the one function that puts a queue proxy into an InferenceService, for the command and for the webhook.

Pure: an object and settings in, edits or reasons out. It never changes what the user has said. Besides the sidecar it
adds what a service that sleeps needs, where nothing is said about it, and says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from admission.editor import Editor
from admission.edits import Edit, Operation, Path
from admission.predictor import Predictor, Refused, containers_of, has_sidecar, read_predictor
from admission.preparation import GRACE, MODEL_ENDS_SECONDS, prepare
from admission.record import Entry, RecordError, read, undone, written
from admission.sidecar import (
    before_the_same_model,
    differing_policy,
    find_sidecar,
    record_of,
    same_model,
    sidecar,
    unknown_flags,
    upgraded,
)
from admission.token_volume import mounts_token, put_volume, volume_entries
from autoscaler.policy.errors import PolicyError, PolicyErrors, Source, SourceMap
from autoscaler.policy.names import SCALING
from autoscaler.policy.parse import read_policy
from autoscaler.policy.profiles import NO_PROFILES, Profiles
from autoscaler.policy.scaling_policy import ScalingMode, ScalingPolicy
from autoscaler.policy.settings import name_of
from autoscaler.serving.fields import FieldError
from autoscaler.serving.queue_proxy_flags import DRAIN_SECONDS

_PREDICTOR: Path = ("spec", "predictor")
_CONTAINERS = ("spec", "predictor", "containers")


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
            inference_service,
            settings.runtimes,
            source_map,
            first_port_only=settings.first_port_only or has_sidecar(before),
        )
    except PolicyErrors as wrong:
        return Refusals(wrong.errors)
    except Refused as refused:
        # What has a sidecar already has it; its owner knows what he did.
        return _unchanged(()) if has_sidecar(inference_service) else Refusals(refused.reasons)
    if policy.mode is ScalingMode.OFF:
        return _unchanged((f'{SCALING} is "off": nothing is put in',))
    if has_sidecar(inference_service):
        return _present(inference_service, policy, predictor, settings)
    editor = Editor(inference_service)
    try:
        remarks = [*predictor.remarks, *prepare(editor, policy, predictor, before)]
    except FieldError as error:
        where = Source(name_of(inference_service)) if source_map is None else source_map.where(())
        return Refusals((PolicyError("", "", where, "", str(error)),))
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
        editor.edit(Edit(Operation.ADD, (*_CONTAINERS, len(containers_of(editor.document))), new))
    put_volume(editor, new)
    return Injection(tuple(editor.edits), tuple(remarks))


def remove(inference_service: Mapping[str, object]) -> Injection | Refusals:
    """Take out exactly what an injection has put in, and what has not been changed since."""
    index = find_sidecar(containers_of(inference_service))
    if index is None:
        return _unchanged(("there is no queue proxy in it",))
    record = record_of(containers_of(inference_service)[index])
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
    containers = containers_of(inference_service)
    index = find_sidecar(containers)
    return () if index is None or record_of(containers[index]) is None else differing_policy(containers[index], fresh)


def _present(
    inference_service: Mapping[str, object], policy: ScalingPolicy, predictor: Predictor, settings: InjectionSettings
) -> Injection:
    """The sidecar is there: leave it, or make it anew."""
    containers = containers_of(inference_service)
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
    left_out = tuple(
        f"{flag} is left out of the sidecar: the queue proxy of this version does not know it, and would not start"
        for flag in unknown_flags(old)
    )
    anew = "the sidecar is made anew: applying this restarts the pods"
    return Injection(tuple(editor.edits), (*predictor.remarks, *left_out, anew))


def _record(editor: Editor, old: Mapping[str, object]) -> str:
    """The record of a sidecar that is made anew, and what is put in by that."""
    record = record_of(old) or "[]"
    try:
        return record if mounts_token(old) else written([*volume_entries(editor), *read(record)])
    except RecordError:
        return record


def _sidecar(
    editor: Editor, policy: ScalingPolicy, predictor: Predictor, settings: InjectionSettings, record: str
) -> dict[str, object]:
    name = editor.get(("metadata", "name"))
    grace = editor.get(GRACE)
    drain = _drain(grace) if isinstance(grace, int) else policy.timeouts.total or DRAIN_SECONDS
    service_name = name if isinstance(name, str) else ""
    return sidecar(settings.image, service_name, predictor.model, policy, drain, record)


def _reused(before: Mapping[str, object] | None, fresh: dict[str, object], predictor: Predictor) -> dict[str, object]:
    """The sidecar as it was, as long as the model is the same; else the new one.

    Never the image of one with the arguments of the other: an image knows the flags of its own version only.
    """
    containers = containers_of(before) if before is not None else []
    index = find_sidecar(containers)
    if index is None:
        return fresh
    old = containers[index]
    if not predictor.known or same_model(old, fresh):
        return copy.deepcopy(dict(old))
    return fresh


def _drain(grace: int) -> float:
    """The part of the grace period that the drain may take; the rest is the model's."""
    return float(max(0, grace - min(MODEL_ENDS_SECONDS, grace // 3)))


def _unchanged(remarks: Sequence[str]) -> Injection:
    return Injection((), tuple(remarks))
