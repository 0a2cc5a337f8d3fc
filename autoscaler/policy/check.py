"""check: everything that is wrong with some files and with the policies in them, in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoscaler.policy.errors import PolicyError, PolicyErrors
from autoscaler.policy.manifest import ManifestKind, collect_manifests
from autoscaler.policy.parse import read_policy


def check(paths: Sequence[Path]) -> tuple[PolicyError, ...]:
    """Every mistake in `paths`, in the order of the files and their lines; empty when there is none."""
    collected = collect_manifests(paths)
    errors = list(collected.errors)
    for manifest in collected.manifests:
        if manifest.kind is not ManifestKind.INFERENCE_SERVICE:
            continue
        try:
            read_policy(manifest.body, manifest.source)
        except PolicyErrors as wrong:
            errors.extend(wrong.errors)
    order = {str(path): index for index, path in reversed(list(enumerate(paths)))}
    return tuple(sorted(errors, key=lambda error: (order.get(error.source.name, 0), error.source.line or 0)))
