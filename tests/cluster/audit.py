"""The API server's audit log: who wrote how often, and who was forbidden what."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One finished request to the API server, or the start of a watch."""

    at: datetime  # when it was received
    user: str  # "system:serviceaccount:NAMESPACE:NAME" for a service account
    verb: str
    resource: str  # with subresource: "deployments/scale"; empty for a path that is no resource
    namespace: str
    name: str
    code: int
    user_agent: str
    pod: str = ""  # whose token it was, where it is a pod's own
    replicas: int | None = None  # asked for, by a write of a scale

    @property
    def is_write(self) -> bool:
        return self.verb in _WRITES

    @property
    def is_forbidden(self) -> bool:
        return self.code == 403


class AuditLog:
    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """A place in the log: the events after it are those that begin to be logged from now on."""
        return self._path.stat().st_size if self._path.exists() else 0

    def events(self, since: int = 0, user: str | None = None) -> Iterator[AuditEvent]:
        """The events after the mark `since`, of one user or of all."""
        with self._path.open("rb") as file:
            file.seek(since)
            for line in file:
                if line.endswith(b"\n"):  # else it is being written
                    event = _event(json.loads(line))
                    if user is None or event.user == user:
                        yield event

    def writes(self, user: str, since: int = 0) -> list[AuditEvent]:
        return [event for event in self.events(since, user) if event.is_write]

    def forbidden(self, user: str, since: int = 0) -> list[AuditEvent]:
        return [event for event in self.events(since, user) if event.is_forbidden]


def service_account(namespace: str, name: str) -> str:
    """The name under which the log has a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def _event(raw: dict[str, object]) -> AuditEvent:
    user, target, answer = (_part(raw, key) for key in ("user", "objectRef", "responseStatus"))
    resource, subresource = _text(target, "resource"), _text(target, "subresource")
    code = answer.get("code")
    replicas = _part(_part(raw, "requestObject"), "spec").get("replicas")
    pods = _part(user, "extra").get("authentication.kubernetes.io/pod-name")
    return AuditEvent(
        at=datetime.fromisoformat(_text(raw, "requestReceivedTimestamp")),
        user=_text(user, "username"),
        verb=_text(raw, "verb"),
        resource=f"{resource}/{subresource}" if subresource else resource,
        namespace=_text(target, "namespace"),
        name=_text(target, "name"),
        code=code if isinstance(code, int) else 0,
        user_agent=_text(raw, "userAgent"),
        pod=str(pods[0]) if isinstance(pods, list) and pods else "",
        replicas=replicas if isinstance(replicas, int) else None,
    )


def _part(raw: dict[str, object], key: str) -> dict[str, object]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _text(raw: dict[str, object], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""
