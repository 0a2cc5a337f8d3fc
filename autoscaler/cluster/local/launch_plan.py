"""LaunchPlan: how a replica of an InferenceService runs as a process here. Pure; whether it can run is for `preflight`.

In a pod a model has the network to itself and may listen on 8080. Here many replicas share one loopback, so each gets
port numbers of its own, and the plan knows every place where the container's port is written. `LaunchPlan.launch`
fills them in and gives what is started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from autoscaler.cluster.local.container_choice import ServingContainer, choose_container, read_meta
from autoscaler.cluster.local.environment import Variable, read_environment
from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.machine import GPU_RESOURCE
from autoscaler.cluster.local.placeholders import expand, names_model_mount, place_model, place_port
from autoscaler.cluster.local.ports import PortPlan, plan_ports
from autoscaler.cluster.local.quantities import parse_quantity
from autoscaler.serving.fields import FieldError, Fields


@dataclass(frozen=True, slots=True)
class Launch:
    """One replica's process: what is executed, with which variables, and where the queue proxy finds it.

    `environment` holds the container's own variables; the process inherits this machine's as well.
    `probe` is the Kubernetes readinessProbe with this replica's port numbers, None for KServe's default (TCP).
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    probe: Mapping[str, object] | None
    metrics_url: str | None
    speaks_h2c: bool = False


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything about replicas of one service that does not differ from replica to replica.

    working_directory  as written, None when not given
    model_directory    what `/mnt/models` stands for, as written, None without storageUri
    resources          the larger of request and limit of each resource, in units and bytes
    gpus               whole devices per replica
    drain_seconds      spec.predictor.terminationGracePeriodSeconds, None when not given
    warnings           what will behave otherwise than in a cluster; for the user to read
    """

    service: str
    name: str
    namespace: str
    image: str | None
    command: tuple[str, ...]
    environment: tuple[Variable, ...]
    working_directory: str | None
    model_directory: str | None
    ports: PortPlan
    resources: Mapping[str, Decimal]
    gpus: int
    drain_seconds: float | None
    warnings: tuple[str, ...]

    def launch(self, replica: str, allocated: Sequence[int], model_directory: str | None = None) -> Launch:
        """The process of one replica; `allocated` are its port numbers, in the order of `ports.declared`.

        `model_directory` replaces the plan's own, once it is known as an absolute path.
        """
        ports = dict(zip(self.ports.declared, allocated, strict=True))
        models = model_directory or self.model_directory
        variables = {"PORT": str(allocated[0]), "INFERENCE_SERVICE_NAME": self.name}
        for variable in self.environment:
            variables[variable.name] = variable.value_for(replica, ports, models, variables)
        argv = tuple(expand(place_model(place_port(text, ports), models), variables) for text in self.command)
        return Launch(
            argv=argv,
            environment=variables,
            port=allocated[0],
            probe=self.ports.probe_for(ports, lambda text: place_model(place_port(text, ports), models)),
            metrics_url=self.ports.metrics_url_for(ports),
            speaks_h2c=self.ports.speaks_h2c,
        )


def plan_launch(inference_service: Mapping[str, object], runtimes: Sequence[Mapping[str, object]]) -> LaunchPlan:
    """How replicas of `inference_service` run here, with the ServingRuntimes of the same files.

    Raises LaunchError: no command to run locally, something this machine cannot do, or a field of the wrong form.
    """
    root = Fields(inference_service, "")
    try:
        meta = read_meta(root)
    except FieldError as error:
        raise LaunchError(str(error)) from None
    service = f"{meta.namespace}/{meta.name}"
    try:
        container = choose_container(root, meta, runtimes)
        fields = container.fields
        command = _command(fields)
        variables = read_environment(fields, meta)
        ports = plan_ports(fields, command[1:], variables, container.annotations)
        model_directory = _model_directory(container)
        resources = _resources(fields)
        drain = root.within("spec").within("predictor").number("terminationGracePeriodSeconds")
    except FieldError as error:
        raise LaunchError(f"{service}: {error}") from None
    texts = (*command, *(variable.value for variable in variables))
    warnings = [*container.warnings, *ports.warnings]
    if model_directory is None and any(map(names_model_mount, texts)):
        warnings.append("/mnt/models is used, but there is no storageUri that says which folder it stands for")
    return LaunchPlan(
        service=service,
        name=meta.name,
        namespace=meta.namespace,
        image=fields.text("image"),
        command=command,
        environment=variables,
        working_directory=fields.text("workingDir"),
        model_directory=model_directory,
        ports=ports,
        resources=resources,
        gpus=int(resources.get(GPU_RESOURCE, 0)),
        drain_seconds=None if drain is None else float(drain),
        warnings=tuple(f"{service}: {warning}" for warning in warnings),
    )


def _command(container: Fields) -> tuple[str, ...]:
    command = container.texts("command")
    if not command or not command[0].strip():
        image = container.text("image") or "(none given)"
        raise LaunchError(
            f"no command to run locally: the command of image {image} is inside of that image, and images are not run "
            f"here. Give one with {container.at('command')}, for example "
            'command: ["python", "-m", "my_server"]; args stay as they are'
        )
    return (*command, *container.texts("args"))


def _model_directory(container: ServingContainer) -> str | None:
    uri = container.storage_uri
    if uri is None:
        return None
    path = uri.removeprefix("file://") if uri.startswith("file:///") else uri
    if "://" in path or not path:
        raise LaunchError(
            f"{container.storage_field}: {uri!r} is not on this machine; download it and write file:///path/to/it "
            "(that folder then stands for /mnt/models)"
        )
    return path


def _resources(container: Fields) -> dict[str, Decimal]:
    resources = container.within("resources")
    amounts: dict[str, Decimal] = {}
    for kind in ("requests", "limits"):
        table = resources.within(kind)
        for name in table:
            amount = parse_quantity(table.raw(name), table.at(name))
            amounts[name] = max(amount, amounts.get(name, amount))
    gpus = amounts.get(GPU_RESOURCE, Decimal(0))
    if gpus != gpus.to_integral_value():
        raise LaunchError(f"{resources.at('limits')}.{GPU_RESOURCE} must be whole GPUs, not {gpus}")
    return amounts
