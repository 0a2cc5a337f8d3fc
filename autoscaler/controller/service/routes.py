"""Routes: what every activator must know to serve without us.

Pure. One table for all activators; its version grows when, and only when, its content changes, so that an activator
can tell an old table from a new one and nobody is sent the same thing twice.
"""

from __future__ import annotations

from activator.messages import Endpoint, EndpointState, HoldBounds, Precedence, Route, Routes, Timeouts
from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.decide.decider import seconds_remembered
from autoscaler.policy.scaling_policy import ScalingPolicy, Switch

_STATES = {
    ReplicaPhase.STARTING: EndpointState.STARTING,
    ReplicaPhase.READY: EndpointState.READY,
    ReplicaPhase.DRAINING: EndpointState.DRAINING,
}


def route_for(view: ServiceView, policy: ScalingPolicy, expected_wake_seconds: float | None) -> Route:
    """How activators shall serve this service.

    An endpoint's capacity is its hard limit alone, not the limit and its queue: what waits, waits in the hold, from
    where any replica can take it. A queue filled behind one replica cannot be shared with the next that is free.
    """
    return Route(
        service=view.service,
        port=view.port,
        endpoints=tuple(endpoint for replica in view.replicas if (endpoint := _endpoint(replica)) is not None),
        endpoint_capacity=policy.container_concurrency,
        hold=HoldBounds(
            requests=policy.hold.requests,
            bytes=policy.hold.bytes,
            no_endpoint_seconds=policy.hold.no_endpoint_seconds,
            full_seconds=policy.hold.full_seconds,
        ),
        timeouts=Timeouts(
            total=policy.timeouts.total, response_start=policy.timeouts.response_start, idle=policy.timeouts.idle
        ),
        precedence=Precedence(policy.hold.priority_header is Switch.ON, policy.hold.tenant_header),
        # Tenths of a second: a client rounds to seconds anyway, and noise would make new versions.
        expected_wake_seconds=None if expected_wake_seconds is None else round(expected_wake_seconds, 1),
        in_path=not view.activator_left,
        history_seconds=seconds_remembered(policy),
    )


def _endpoint(replica: Replica) -> Endpoint | None:
    state = _STATES.get(replica.phase)
    if state is None or replica.host is None or replica.port is None or replica.admin_port is None:
        return None
    return Endpoint(replica.name, replica.host, replica.port, replica.admin_port, state)


class RoutingTable:
    """The current routes, by service. `epoch` names this controller: versions of two controllers do not compare."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._routes: dict[str, Route] = {}
        self.version = 0

    def put(self, route: Route) -> bool:
        """Set one service's route. Whether it is news."""
        if self._routes.get(route.service) == route:
            return False
        self._routes[route.service] = route
        self.version += 1
        return True

    def remove(self, service: str) -> None:
        """Drop one service."""
        if self._routes.pop(service, None) is not None:
            self.version += 1

    def routes(self) -> Routes:
        """The whole table, services in order of their names."""
        listed = tuple(self._routes[name] for name in sorted(self._routes))
        return Routes(self._epoch, self.version, listed, accepts_still=True)
