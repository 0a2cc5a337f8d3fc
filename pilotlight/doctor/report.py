"""What the doctor prints."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from pilotlight.controller_api import printable
from pilotlight.doctor.finding import Finding, Severity

_WIDTH = 110
_GOOD = "nothing is missing"


def lines(findings: Sequence[Finding], cluster: str) -> Iterator[str]:
    """For a person: each finding with its fix below it, ready to paste; at last a line that counts them."""
    for finding in findings:
        subject = f" ({printable(finding.subject)})" if finding.subject else ""
        yield f"{finding.severity.value}: {finding.name}{subject}"
        yield from textwrap.wrap(printable(finding.evidence), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        yield from (f"    {line}" for line in printable(finding.fix).splitlines())
        yield ""
    counts = [(severity, sum(finding.severity is severity for finding in findings)) for severity in Severity]
    counted = ", ".join(f"{count} {severity.value}{'s' if count > 1 else ''}" for severity, count in counts if count)
    good = not any(finding.counts for finding in findings)
    yield f"{cluster}: {'; '.join(filter(None, (_GOOD if good else '', counted)))}"


def as_json(findings: Sequence[Finding], cluster: str) -> str:
    """For a script."""
    body = {
        "cluster": cluster,
        "good": not any(finding.counts for finding in findings),
        "findings": [
            {
                "name": finding.name,
                "severity": finding.severity.value,
                "subject": finding.subject,
                "evidence": finding.evidence,
                "fix": finding.fix,
            }
            for finding in findings
        ],
    }
    return json.dumps(body, indent=2, ensure_ascii=False)
