"""ServiceViews as JSON: written by the agent, read by the controller. In one place, so that both agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.cluster.interface import ClusterError, Replica, ReplicaPhase, ServiceView


def views_to_json(views: Sequence[ServiceView]) -> dict[str, object]:
    """One line of `/watch`."""
    return {"services": [_view_to_json(view) for view in views]}


def parse_views(body: object) -> tuple[ServiceView, ...]:
    """Read back what `views_to_json` wrote. Raises ClusterError."""
    try:
        services = _object(body)["services"]
        return tuple(_view(_object(item)) for item in _list(services))
    except (KeyError, TypeError, ValueError) as error:
        raise ClusterError(f"the agent sent something that is not a list of services: {error}") from error


def _view_to_json(view: ServiceView) -> dict[str, object]:
    return {
        "service": view.service,
        "inference_service": view.inference_service,
        "generation": view.generation,
        "wanted": view.wanted,
        "replicas": [_replica_to_json(replica) for replica in view.replicas],
        "activator_in_path": view.activator_in_path,
        "port": view.port,
        "ever_ready": view.ever_ready,
    }


def _replica_to_json(replica: Replica) -> dict[str, object]:
    return {
        "name": replica.name,
        "phase": replica.phase.value,
        "created_at": replica.created_at,
        "host": replica.host,
        "port": replica.port,
        "admin_port": replica.admin_port,
        "ready_at": replica.ready_at,
        "reason": replica.reason,
    }


def _view(fields: Mapping[str, object]) -> ServiceView:
    return ServiceView(
        service=str(fields["service"]),
        inference_service=_object(fields["inference_service"]),
        generation=_number(fields["generation"]),
        wanted=_number(fields["wanted"]),
        replicas=tuple(_replica(_object(item)) for item in _list(fields["replicas"])),
        activator_in_path=fields["activator_in_path"] is True,
        port=_number(fields["port"]),
        ever_ready=fields["ever_ready"] is True,
    )


def _replica(fields: Mapping[str, object]) -> Replica:
    host, port, admin_port = fields["host"], fields["port"], fields["admin_port"]
    ready_at, reason = fields["ready_at"], fields["reason"]
    return Replica(
        name=str(fields["name"]),
        phase=ReplicaPhase(fields["phase"]),
        created_at=_seconds(fields["created_at"]),
        host=None if host is None else str(host),
        port=None if port is None else _number(port),
        admin_port=None if admin_port is None else _number(admin_port),
        ready_at=None if ready_at is None else _seconds(ready_at),
        reason=None if reason is None else str(reason),
    )


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"an object was expected, not {type(value).__name__}")
    return value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {type(value).__name__}")
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number was expected, not {value!r:.40}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number was expected, not {value!r:.40}")
    return float(value)
