"""The ports of a container where many replicas share one loopback: which get a number of their own in each replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.cluster.local.environment import Variable
from autoscaler.cluster.local.placeholders import ports_named
from autoscaler.serving.fields import Fields
from autoscaler.serving.ports import MetricsEndpoint, probe_port, read_metrics, read_ports


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
    """Read ports, probe and metrics endpoint of a container. Raises FieldError."""
    ports = read_ports(container)
    declared = list(ports.declared)
    written = _written(arguments, variables)
    metrics = read_metrics(annotations, ports.serving)
    warnings = []
    # Kubernetes treats containerPorts as information: a port that only a probe or an annotation names counts too,
    # provided that we can tell the model its number.
    asked = (("readinessProbe", probe_port(ports.probe)), ("metrics annotation", metrics and metrics.port))
    for purpose, port in asked:
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
    return PortPlan(tuple(declared), ports.speaks_h2c, ports.probe, metrics, tuple(warnings))


def _written(arguments: Sequence[str], variables: Sequence[Variable]) -> set[int]:
    numbers = {port for argument in arguments if (port := ports_named(argument)) is not None}
    numbers.update(int(v.value) for v in variables if v.value.isascii() and v.value.isdigit() and len(v.value) <= 5)
    return numbers


def _reads_port(arguments: Sequence[str]) -> bool:
    """`$(PORT)` in an argument, or the shell's $PORT, tells the model its port as well."""
    return any(form in argument for argument in arguments for form in ("$(PORT)", "$PORT", "${PORT"))


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
