"""Where a container serves: its ports, how it is probed there, and where its engine shows its own metrics.

KServe reads all of it from the container too: the first port serves, a port's name says that it speaks HTTP/2, and
where no port is declared it is 8080.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.serving.fields import FieldError, Fields

DEFAULT_PORT = 8080
H2C_WORDS = ("grpc", "h2c")
"""In the name of a port they make it one for HTTP/2 without TLS."""
_METRICS_PREFIXES = ("prometheus.kserve.io", "prometheus.io")
_PROBE_KINDS = ("httpGet", "tcpSocket", "grpc", "exec")


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """Where the engine shows its own metrics, in the container's port numbers."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class ServingPorts:
    """`declared` are the container's port numbers, `names` those that have a name; the first one serves.

    probe  the readinessProbe with port names resolved (the startupProbe when that is the only one), None when there
           is neither
    """

    declared: tuple[int, ...]
    names: Mapping[str, int]
    probe: Mapping[str, object] | None

    @property
    def serving(self) -> int:
        """The port that requests go to."""
        return self.declared[0]

    @property
    def serving_name(self) -> str:
        """What that port is called, "" when it has no name."""
        return next((name for name, port in self.names.items() if port == self.serving), "")

    @property
    def speaks_h2c(self) -> bool:
        """It serves HTTP/2 without TLS, as gRPC does."""
        serving = [name for name, port in self.names.items() if port == self.serving]
        return any(word in name for name in serving for word in H2C_WORDS)


def read_ports(container: Fields) -> ServingPorts:
    """The ports and the probe of a container. Raises FieldError."""
    names, declared = _declared(container)
    return ServingPorts(tuple(declared), names, _probe(container, names, declared[0]))


def read_metrics(annotations: Mapping[str, str], serving: int) -> MetricsEndpoint | None:
    """What the pods' annotations say about the engine's metrics page; None when they say nothing. Raises FieldError."""
    for prefix in _METRICS_PREFIXES:
        port, path = annotations.get(f"{prefix}/port"), annotations.get(f"{prefix}/path")
        if port is None and path is None:
            continue
        if port is not None and not (port.isascii() and port.isdigit()):
            raise FieldError(f"annotation {prefix}/port must be a port number, not {port!r:.40}")
        path = path or "/metrics"
        if not path.startswith("/") or any(character.isspace() for character in path):
            raise FieldError(f"annotation {prefix}/path must begin with / and have no spaces, not {path!r:.80}")
        return MetricsEndpoint(_port(int(port), f"annotation {prefix}/port") if port else serving, path)
    return None


def probe_port(probe: Mapping[str, object] | None) -> int | None:
    """The port that a probe asks; None for a command, or no probe."""
    for kind in ("httpGet", "tcpSocket", "grpc"):
        handler = (probe or {}).get(kind)
        if isinstance(handler, Mapping):
            port = handler.get("port")
            return port if isinstance(port, int) else None
    return None


def _declared(container: Fields) -> tuple[dict[str, int], list[int]]:
    named: dict[str, int] = {}
    declared: dict[int, None] = {}  # each once, in their order
    for entry in container.objects("ports"):
        port = _port(entry.number("containerPort"), entry.at("containerPort"))
        name = entry.text("name")
        if name:
            named[name] = port
        declared[port] = None
    return named, list(declared) or [DEFAULT_PORT]


def _probe(container: Fields, named: Mapping[str, int], serving: int) -> dict[str, object] | None:
    """The readinessProbe with port names resolved; the startupProbe when that is the only one."""
    name = "readinessProbe" if "readinessProbe" in container else "startupProbe"
    if name not in container:
        return None
    probe = container.within(name)
    kinds = [kind for kind in _PROBE_KINDS if kind in probe]
    if len(kinds) != 1:
        raise FieldError(f"{probe.where} must have exactly one of {', '.join(_PROBE_KINDS)}, not {kinds or 'none'}")
    kind = kinds[0]
    handler = probe.within(kind)
    resolved: dict[str, object] = {field: handler.raw(field) for field in handler}
    if kind == "exec":
        resolved["command"] = list(handler.texts("command"))
    else:
        resolved["port"] = _probe_target(handler, named, serving)
    return {**{field: probe.raw(field) for field in probe}, kind: resolved}


def _probe_target(handler: Fields, named: Mapping[str, int], serving: int) -> int:
    port = handler.raw("port")
    if port is None:
        return serving
    if isinstance(port, str):
        if port in named:
            return named[port]
        known = ", ".join(sorted(named)) or "none"
        raise FieldError(f"{handler.at('port')}: there is no container port named {port!r} (there: {known})")
    return _port(handler.number("port"), handler.at("port"))


def _port(port: int | None, where: str) -> int:
    if port is None or not 0 < port < 65_536:
        raise FieldError(f"{where} must be a port number within 1..65535, not {port}")
    return port
