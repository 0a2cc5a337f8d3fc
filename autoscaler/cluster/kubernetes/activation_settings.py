"""The times and numbers by which activators are put into the path of services."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.cluster.kubernetes.ports import PortRange


@dataclass(frozen=True, slots=True)
class ActivationSettings:
    """Seconds, where nothing else is said.

    spread        from the API server's answer until every node and gateway leads connections accordingly
    settle        from a pod being ready until every node and gateway leads connections to it: first Kubernetes has to
                  put it into a slice, and that has to spread
    forget_after  how long a service must be gone before its slice is deleted: lists have been wrong before
    first_pause, longest_pause  between tries of one service
    unhurried     of services that are up, written a second because activators have changed: nobody is led to those, so
                  what matters is that an API server has other work than a slice of each, several times in one roll-out
    """

    ports: PortRange = field(default_factory=PortRange)
    spread: float = 1.5
    settle: float = 3.0
    forget_after: float = 30.0
    first_pause: float = 0.1
    longest_pause: float = 3.0
    unhurried: float = 50.0
