"""The ports of a container: which it declares, where each is written, and where it is probed and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.cluster.local.environment import Variable
from autoscaler.cluster.local.fields import Fields, LaunchError
from autoscaler.cluster.local.placeholders import ports_named

DEFAULT_PORT = 8080
_METRICS_PREFIXES = ("prometheus.kserve.io", "prometheus.io")
_H2C_WORDS = ("grpc", "h2c")
_PROBE_KINDS = ("httpGet", "tcpSocket", "grpc", "exec")


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """Where the engine shows its own metrics, in the container's port numbers."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class PortPlan:
    """`declared` are the container's port numbers that get one of their own in each replica; the first one serves.

    speaks_h2c  it serves HTTP/2 without TLS, as gRPC does: KServe reads that from the port's name, and so do we
    """

    declared: tuple[int, ...]
    speaks_h2c: bool
    probe: Mapping[str, object] | None
    metrics: MetricsEndpoint | None
    warnings: tuple[str, ...]

    def probe_for(self, ports: Mapping[int, int], fill: Callable[[str], str]) -> dict[str, object] | None:
        """The readiness probe with port numbers replaced by `ports` and the texts of its command filled."""
        if self.probe is None:
            return None
        return {name: _placed(value, ports, fill) for name, value in self.probe.items()}

    def metrics_url_for(self, ports: Mapping[int, int]) -> str | None:
        """Where the engine's metrics are in a replica with these ports."""
        if self.metrics is None:
            return None
        return f"http://127.0.0.1:{ports.get(self.metrics.port, self.metrics.port)}{self.metrics.path}"


def plan_ports(
    container: Fields, arguments: Sequence[str], variables: Sequence[Variable], annotations: Mapping[str, str]
) -> PortPlan:
    """Read ports, probe and metrics endpoint of a container. Raises LaunchError."""
    named, declared = _declared(container)
    written = _written(arguments, variables)
    probe = _probe(container, named, declared[0])
    metrics = _metrics(annotations, declared[0])
    warnings = []
    # Kubernetes treats containerPorts as information: a port that only a probe or an annotation names counts too,
    # provided that we can tell the model its number.
    for purpose, port in (("readinessProbe", _probe_port(probe)), ("metrics annotation", metrics and metrics.port)):
        if port is None or port in declared:
            continue
        if port in written:
            declared.append(port)
        else:
            warnings.append(
                f"port {port} of the {purpose} is neither declared in ports nor written in args or env: every replica "
                "would use the same one"
            )
    if not written.intersection(declared) and not _reads_port(arguments):
        warnings.append(
            f"{container.where}: port {declared[0]} is written nowhere in args or env, so the model cannot be told its "
            "port that way; it gets it in the variable PORT and must listen there"
        )
    serving_names = [name for name, port in named.items() if port == declared[0]]
    speaks_h2c = any(word in name for name in serving_names for word in _H2C_WORDS)
    return PortPlan(tuple(declared), speaks_h2c, probe, metrics, tuple(warnings))


def _declared(container: Fields) -> tuple[dict[str, int], list[int]]:
    named: dict[str, int] = {}
    declared: list[int] = []
    for entry in container.objects("ports"):
        port = _port(entry.number("containerPort"), entry.at("containerPort"))
        name = entry.text("name")
        if name:
            named[name] = port
        if port not in declared:
            declared.append(port)
    return named, declared or [DEFAULT_PORT]


def _written(arguments: Sequence[str], variables: Sequence[Variable]) -> set[int]:
    numbers = {port for argument in arguments if (port := ports_named(argument)) is not None}
    numbers.update(int(v.value) for v in variables if v.value.isascii() and v.value.isdigit() and len(v.value) <= 5)
    return numbers


def _reads_port(arguments: Sequence[str]) -> bool:
    """`$(PORT)` in an argument, or the shell's $PORT, tells the model its port as well."""
    return any(form in argument for argument in arguments for form in ("$(PORT)", "$PORT", "${PORT"))


def _probe(container: Fields, named: Mapping[str, int], serving: int) -> dict[str, object] | None:
    """The readinessProbe with port names resolved; the startupProbe when that is the only one."""
    name = "readinessProbe" if "readinessProbe" in container else "startupProbe"
    if name not in container:
        return None
    probe = container.within(name)
    kinds = [kind for kind in _PROBE_KINDS if kind in probe]
    if len(kinds) != 1:
        raise LaunchError(f"{probe.where} must have exactly one of {', '.join(_PROBE_KINDS)}, not {kinds or 'none'}")
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
        raise LaunchError(f"{handler.at('port')}: there is no container port named {port!r} (there: {known})")
    return _port(handler.number("port"), handler.at("port"))


def _probe_port(probe: Mapping[str, object] | None) -> int | None:
    for kind in ("httpGet", "tcpSocket", "grpc"):
        handler = (probe or {}).get(kind)
        if isinstance(handler, Mapping):
            port = handler.get("port")
            return port if isinstance(port, int) else None
    return None


def _metrics(annotations: Mapping[str, str], serving: int) -> MetricsEndpoint | None:
    for prefix in _METRICS_PREFIXES:
        port, path = annotations.get(f"{prefix}/port"), annotations.get(f"{prefix}/path")
        if port is None and path is None:
            continue
        if port is not None and not (port.isascii() and port.isdigit()):
            raise LaunchError(f"annotation {prefix}/port must be a port number, not {port!r:.40}")
        path = path or "/metrics"
        if not path.startswith("/") or any(character.isspace() for character in path):
            raise LaunchError(f"annotation {prefix}/path must begin with / and have no spaces, not {path!r:.80}")
        return MetricsEndpoint(_port(int(port), f"annotation {prefix}/port") if port else serving, path)
    return None


def _port(port: int | None, where: str) -> int:
    if port is None or not 0 < port < 65_536:
        raise LaunchError(f"{where} must be a port number within 1..65535, not {port}")
    return port


def _placed(value: object, ports: Mapping[int, int], fill: Callable[[str], str]) -> object:
    if not isinstance(value, Mapping):
        return value
    placed = dict(value)
    port = placed.get("port")
    if isinstance(port, int):
        placed["port"] = ports.get(port, port)
    command = placed.get("command")
    if isinstance(command, list):
        placed["command"] = [fill(str(text)) for text in command]
    return placed
