"""The manifests that a command is given. They are read once: a pipe cannot be read again, and a file may change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoscaler.policy.check import checked
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.manifest import Manifests
from pilotlight.errors import CommandError


def given_manifests(files: Sequence[Path], *, profiles_alone: bool = False) -> Manifests:
    """What is in `files`. Raises CommandError with every mistake in them and in their policies, a line each."""
    try:
        return checked(files, profiles_alone=profiles_alone)
    except PolicyErrors as wrong:
        raise CommandError("\n".join(map(str, wrong.errors))) from wrong
