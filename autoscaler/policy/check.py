"""check: everything that is wrong with some files and with the policies in them, in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoscaler.policy.errors import PolicyError, PolicyErrors
from autoscaler.policy.manifest import Collected, ManifestKind, Manifests, collect_manifests, manifests_of
from autoscaler.policy.parse import read_policy
from autoscaler.policy.profiles import PROFILE, Profiles


def check(paths: Sequence[Path]) -> tuple[PolicyError, ...]:
    """Every mistake in `paths`, in the order of the files and their lines; empty when there is none."""
    return _mistakes(collect_manifests(paths), paths)


def checked(paths: Sequence[Path], *, profiles_alone: bool = False) -> Manifests:
    """What is in `paths`, each of which is read once. Raises PolicyErrors with every mistake.

    That there is no InferenceService is one, unless there are profiles and `profiles_alone` may be looked at.
    """
    collected = collect_manifests(paths)
    mistakes = _mistakes(collected, paths)
    if mistakes:
        raise PolicyErrors(mistakes)
    return manifests_of(collected, paths, profiles_alone=profiles_alone)


def _mistakes(collected: Collected, paths: Sequence[Path]) -> tuple[PolicyError, ...]:
    profiles = collected.profiles
    errors = [*collected.errors, *profiles.all_errors]
    for profile in profiles.by_name.values():
        if not profile.errors:
            errors.extend(_alone(profile.name, profiles))
    for manifest in collected.manifests:
        if manifest.kind is not ManifestKind.INFERENCE_SERVICE:
            continue
        try:
            read_policy(manifest.body, manifest.source, profiles)
        except PolicyErrors as wrong:
            # What is wrong with a profile is said once, and not for every service that uses it.
            errors.extend(error for error in wrong.errors if error not in errors)
    order = {str(path): index for index, path in reversed(list(enumerate(paths)))}
    return tuple(sorted(errors, key=lambda error: (order.get(error.source.name, 0), error.source.line or 0)))


def _alone(profile: str, profiles: Profiles) -> tuple[PolicyError, ...]:
    """What contradicts itself in a profile, whoever uses it."""
    try:
        read_policy({"metadata": {"name": profile, "annotations": {PROFILE: profile}}}, None, profiles)
    except PolicyErrors as wrong:
        return wrong.errors
    return ()
