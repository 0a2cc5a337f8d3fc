"""What the benchmark needs to know of a system that wakes services: one for Pilotlight, one for Knative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.cluster.audit import AuditEvent

NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Load:
    """A service of the benchmark: how long its model loads, how long it works on a request, its replicas at most."""

    name: str
    load_seconds: float
    work_seconds: float
    most_replicas: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service takes requests, from within the cluster, and with which fields."""

    url: str
    headers: Mapping[str, str]


class System(Protocol):
    """How services are made, asked and watched."""

    name: str

    def install(self) -> None:
        """Bring the system up; returns when it is ready. Raises ClusterError."""

    def apply(self, loads: tuple[Load, ...]) -> None:
        """Make these services. Raises ClusterError."""

    def address(self, name: str) -> Address:
        """Where to ask the service `name`."""

    def deployment(self, name: str) -> str:
        """The Deployment that is behind it."""

    def selector(self, name: str) -> str:
        """The label selector of its pods."""

    def decided(self, event: AuditEvent, name: str) -> bool:
        """Whether this write to the API server orders replicas of the service."""

    def is_proxy(self, command: str, environment: str, pod: str) -> bool:
        """Whether a process of this machine is the proxy of `pod`. Words are separated by NUL."""
