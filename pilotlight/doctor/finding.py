"""Finding: one thing that is not as it should be, said so that somebody who has never seen it can mend it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad it is. PROBLEM: something does not work. WARNING: it works, at a cost. NOTE: nothing has to be done."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    name      what kind it is; stays the same over versions, so that a script can look for it
    subject   which object it is about, `namespace/name` where it has one; empty: the cluster
    evidence  what was seen, and what comes of it
    fix       a command or YAML to paste; empty when there is nothing to do
    """

    name: str
    severity: Severity
    subject: str
    evidence: str
    fix: str = ""

    @property
    def counts(self) -> bool:
        """Whether it makes the exit status 1."""
        return self.severity is not Severity.NOTE


def problem(name: str, subject: str, evidence: str, fix: str = "") -> Finding:
    """Something does not work."""
    return Finding(name, Severity.PROBLEM, subject, evidence, fix)


def warning(name: str, subject: str, evidence: str, fix: str = "") -> Finding:
    """It works, at a cost."""
    return Finding(name, Severity.WARNING, subject, evidence, fix)


def note(name: str, subject: str, evidence: str, fix: str = "") -> Finding:
    """Good to know."""
    return Finding(name, Severity.NOTE, subject, evidence, fix)


def merge_patch(namespace: str, what: str, patch: Mapping[str, object]) -> str:
    """The command that merges `patch` into an object; `what` is `kind name`."""
    body = json.dumps(patch, ensure_ascii=False)
    return f"kubectl -n {namespace} patch {what} --type merge -p {shlex.quote(body)}"
