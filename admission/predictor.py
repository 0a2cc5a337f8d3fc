"""What an injection has to know of a predictor, and every reason why there is no place for a queue proxy in it.

A predictor states its container itself (`containers`), or names a format or a runtime (`model`, or one of KServe's
older short forms), whose container is then merged with what stands there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from admission.edits import Path, dotted
from admission.sidecar import ADMIN_PORT, REQUEST_PORT, Model, find_sidecar, is_ours
from autoscaler.policy.errors import KeyPath, PolicyError, Source, SourceMap, shown
from autoscaler.policy.names import MODEL_CONTAINER, PROXY_CONTAINER
from autoscaler.policy.settings import name_of
from autoscaler.serving.fields import FieldError, Fields
from autoscaler.serving.ports import ServingPorts, read_metrics, read_ports
from autoscaler.serving.runtimes import choose_runtime, merge_container, serving_container
from queue_proxy.probe_spec import ProbeSpecError, parse_probe

_PREDICTOR: Path = ("spec", "predictor")
# The forms in which the model's container is merged with a runtime's; all but the first are from before runtimes.
MODEL_FORMS = (
    *("model", "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm"),
    "paddle",
)
_METRICS_WORDS = ("metrics", "prom")


class Refused(Exception):  # noqa: N818 - no error of ours: there are reasons
    """There is no place for a queue proxy: all the reasons."""

    def __init__(self, reasons: Sequence[PolicyError]) -> None:
        super().__init__("\n".join(map(str, reasons)))
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True)
class Predictor:
    """The facts.

    path          of the model's container: an entry of `containers`, or the model
    custom        it is an entry of `containers`
    container     merged with the runtime's, as far as that is known
    known         nothing about the container had to be taken for granted
    remarks       what was taken for granted
    """

    path: Path
    custom: bool
    container: Mapping[str, object]
    model: Model
    known: bool
    remarks: tuple[str, ...]


class Reasons:
    """Collects what is in the way, each with where it stands."""

    def __init__(self, inference_service: Mapping[str, object], source_map: SourceMap | None) -> None:
        self.found: list[PolicyError] = []
        self._name = name_of(inference_service)
        self._source_map = source_map

    def add(self, path: Path, problem: str, fix: str) -> None:
        """One reason, with what to do about it."""
        self.found.append(PolicyError(dotted(path), "", self._where(path), "", f"{problem}; {fix}"))

    def wrong(self, error: FieldError | ProbeSpecError) -> None:
        """A field is not what it has to be; the error names it."""
        self.found.append(PolicyError("", "", self._where(()), "", shown(str(error), 500)))

    def _where(self, path: KeyPath) -> Source:
        return Source(self._name) if self._source_map is None else self._source_map.where(path)


def read_predictor(
    inference_service: Mapping[str, object],
    runtimes: Sequence[Mapping[str, object]],
    source_map: SourceMap | None = None,
    *,
    first_port_only: bool = False,
) -> Predictor:
    """The facts of an InferenceService without a sidecar. Raises Refused with everything that is in the way."""
    reasons = Reasons(inference_service, source_map)
    try:
        predictor = _read(Fields(inference_service, ""), runtimes, reasons, first_port_only)
    except FieldError as error:
        reasons.wrong(error)
        predictor = None
    if predictor is None or reasons.found:
        raise Refused(reasons.found)
    return predictor


def _read(
    root: Fields, runtimes: Sequence[Mapping[str, object]], reasons: Reasons, first_port_only: bool
) -> Predictor | None:
    spec = root.within("spec")
    predictor = spec.within("predictor")
    _not_served(spec, predictor, reasons)
    predictor.objects("volumes")  # ours is added to them
    containers = predictor.objects("containers")
    for index, container in enumerate(containers):
        _others(container, (*_PREDICTOR, "containers", index), reasons)
    form = next((form for form in MODEL_FORMS if form in predictor), None)
    annotations = {**root.within("metadata").table("annotations"), **predictor.table("annotations")}
    if form is not None:
        path: Path = (*_PREDICTOR, form)
        merged, below, remarks = _merged(root, predictor.within(form), form, runtimes, reasons)
        annotations = {**below, **annotations}
    else:
        own = _own_container(containers, reasons)
        if own is None:
            return None
        path, merged, remarks = (*_PREDICTOR, "containers", own), containers[own], ()
    ports = read_ports(merged)
    metrics = read_metrics(annotations, ports.serving)
    _ports(ports, None if metrics is None else metrics.port, path, reasons, first_port_only)
    probe, more = _probe(ports, reasons)
    model = Model(
        port=ports.serving,
        port_name=ports.serving_name,
        speaks_h2c=ports.speaks_h2c,
        probe=probe,
        metrics_url=None if metrics is None else f"http://127.0.0.1:{metrics.port}{metrics.path}",
        protocol=_protocol(merged) if form is None else None,
    )
    body = {name: merged.raw(name) for name in merged}
    return Predictor(path, form is None, body, model, not remarks, (*remarks, *more))


def _not_served(spec: Fields, predictor: Fields, reasons: Reasons) -> None:
    if "workerSpec" in predictor:
        reasons.add((*_PREDICTOR, "workerSpec"), "a model on several nodes is scaled by KServe alone", "leave it out")
    for path, holder in ((("spec",), spec), (_PREDICTOR, predictor)):
        if "canary" in holder:
            reasons.add(
                (*path, "canary"),
                "KServe sends nothing to a canary without replicas, so it could not be woken",
                "write the canary as an InferenceService of its own, or end it first",
            )
    for name in ("logger", "batcher"):
        if name in predictor:
            reasons.add(
                (*_PREDICTOR, name),
                "KServe's agent would stand before the queue proxy, and what the activator hands out would pass it by",
                "leave it out; the queue proxy logs requests with --request-log",
            )
    if predictor.flag("hostNetwork"):
        reasons.add(
            (*_PREDICTOR, "hostNetwork"),
            f"two replicas on one node would both listen on {REQUEST_PORT} and {ADMIN_PORT}",
            "leave it out",
        )


def _others(container: Fields, path: Path, reasons: Reasons) -> None:
    if container.text("name") == PROXY_CONTAINER and not is_ours({name: container.raw(name) for name in container}):
        reasons.add(
            path,
            f"KServe sends requests to the container named {PROXY_CONTAINER}, and there is one that is no queue proxy",
            "write that transformer as spec.transformer",
        )
    for number, entry in enumerate(container.objects("ports")):
        port = entry.number("containerPort")
        if port in (REQUEST_PORT, ADMIN_PORT) and container.text("name") != PROXY_CONTAINER:
            reasons.add(
                (*path, "ports", number), f"port {port} is the queue proxy's in every pod", "listen on another port"
            )


def _own_container(containers: Sequence[Fields], reasons: Reasons) -> int | None:
    """Which entry of `containers` is the model's."""
    models = [index for index, container in enumerate(containers) if container.text("name") != PROXY_CONTAINER]
    named = [index for index in models if containers[index].text("name") == MODEL_CONTAINER]
    if named:
        return named[0]
    if len(models) == 1:
        return models[0]
    if models:
        names = ", ".join(shown(containers[index].text("name") or "(no name)") for index in models)
        reasons.add(
            (*_PREDICTOR, "containers"),
            f"which of {names} is the model cannot be told",
            f"name it {MODEL_CONTAINER}; KServe needs that as well",
        )
    else:
        reasons.add(_PREDICTOR, "there is no model in it", "write containers, or a model")
    return None


def _merged(
    root: Fields, model: Fields, form: str, runtimes: Sequence[Mapping[str, object]], reasons: Reasons
) -> tuple[Fields, dict[str, str], tuple[str, ...]]:
    """The model's container over its runtime's, the runtime's annotations, and what was taken for granted."""
    _others(model, (*_PREDICTOR, form), reasons)
    if form != "model":
        model = Fields({"modelFormat": {"name": form}, **{name: model.raw(name) for name in model}}, model.where)
    try:
        runtime = choose_runtime(model, root.within("metadata").text("namespace") or "default", runtimes)
    except FieldError as error:
        wanted = model.text("runtime")
        served = f"the runtime {wanted}" if wanted else "whichever runtime KServe chooses"
        remark = f"{served} is not known here and is taken to listen on one port: the model's own, or 8080 ({error})"
        return Fields({name: model.raw(name) for name in model}, model.where), {}, (remark,)
    spec = runtime.within("spec")
    for container in spec.objects("containers"):
        _others(container, (*_PREDICTOR, form), reasons)
    merged = merge_container(serving_container(runtime), model)
    return Fields(merged, model.where), spec.table("annotations"), ()


def _ports(ports: ServingPorts, metrics_port: int | None, path: Path, reasons: Reasons, first_port_only: bool) -> None:
    if first_port_only:
        return
    names = {port: name for name, port in ports.names.items()}
    for port in ports.declared[1:]:
        name = names.get(port, "")
        if port == metrics_port or any(word in name for word in _METRICS_WORDS):
            continue  # it stays reachable at the pod's address, which is where it is scraped
        reasons.add(
            (*path, "ports"),
            f"the Service shows the ports of the queue proxy, which has one; {f'{port} ({name})' if name else port} "
            "would be gone from it",
            "serve it by an InferenceService of its own, or accept that with `pilotlight inject --first-port-only`",
        )


def _probe(ports: ServingPorts, reasons: Reasons) -> tuple[Mapping[str, object] | None, tuple[str, ...]]:
    """The model's own probe as the queue proxy can ask it."""
    if ports.probe is None:
        return None, ()
    if "exec" in ports.probe:
        return None, (
            "the model's probe is a command, which can only run in its own container: the queue proxy takes the model "
            "for ready when it accepts connections, and the pod when kubelet's probe agrees",
        )
    # Scheme and path are the user's; an address left out is the pod's for kubelet and loopback for its neighbour.
    for kind in ("httpGet", "tcpSocket", "grpc"):
        handler = ports.probe.get(kind)
        if isinstance(handler, Mapping) and handler.get("port") == REQUEST_PORT:
            reasons.add(_PREDICTOR, f"the model's probe asks port {REQUEST_PORT}, the queue proxy's", "ask the model")
    try:
        parse_probe(json.dumps(ports.probe), "127.0.0.1", ports.serving)
    except ProbeSpecError as error:
        reasons.wrong(error)
    return ports.probe, ()


def containers_of(inference_service: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The entries of `spec.predictor.containers`, an empty one for each that is no object."""
    spec = inference_service.get("spec")
    predictor = spec.get("predictor") if isinstance(spec, Mapping) else None
    containers = predictor.get("containers") if isinstance(predictor, Mapping) else None
    entries = containers if isinstance(containers, list) else []
    return [entry if isinstance(entry, Mapping) else {} for entry in entries]


def has_sidecar(inference_service: Mapping[str, object] | None) -> bool:
    """Whether a queue proxy is in it already."""
    return inference_service is not None and find_sidecar(containers_of(inference_service)) is not None


def _protocol(container: Fields) -> str | None:
    for variable in container.objects("env"):
        if variable.text("name") == "PROTOCOL":
            return variable.text("value")
    return None
