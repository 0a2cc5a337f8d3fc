"""All findings of a picture, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pilotlight.doctor import (
    gpu_findings,
    installation_findings,
    kserve_findings,
    network_findings,
    service_findings,
    webhook_findings,
)
from pilotlight.doctor.finding import Finding, Severity
from pilotlight.doctor.picture import Picture

_EXAMINATIONS: tuple[Callable[[Picture], Iterator[Finding]], ...] = (
    kserve_findings.api_server,
    kserve_findings.kinds,
    kserve_findings.controllers,
    kserve_findings.configuration,
    installation_findings.deployments,
    installation_findings.leader,
    installation_findings.images,
    installation_findings.rights,
    webhook_findings.webhooks,
    network_findings.service_proxies,
    gpu_findings.gpus,
    service_findings.profiles,
    service_findings.services,
    installation_findings.cannot_look,
)
_WORST_FIRST = tuple(Severity)


def examine(picture: Picture) -> tuple[Finding, ...]:
    """Every finding; of one severity in the order in which a cluster is set up."""
    found = [finding for examination in _EXAMINATIONS for finding in examination(picture)]
    return tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity)))
