"""Reducing: an object as the API server sends it becomes the facts that are kept of it.

Pure, and forgiving: an object without a schema may hold anything, and then has fewer facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from sys import intern

from autoscaler.cluster.kubernetes.facts import (
    DEPLOYMENT_MODE,
    INFERENCE_SERVICE_LABEL,
    STOP,
    ContainerFacts,
    DeploymentFacts,
    InferenceServiceFacts,
    KServeFacts,
    PodFacts,
    ScalerFacts,
    ServiceFacts,
    ServicePort,
)
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, objects, seconds, text, texts
from autoscaler.policy.names import AUTOSCALER_CLASS, PROXY_CONTAINER, SCALING
from autoscaler.policy.profiles import PROFILE

# Whose annotations a policy may consist of.
_KEPT_ANNOTATIONS = ("pilotlight.dev/", "autoscaling.knative.dev/", "serving.kserve.io/")
# What a policy is read from; everything else in a predictor is the model's own business.
_KEPT_FIELDS = (
    "minReplicas",
    "maxReplicas",
    "scaleTarget",
    "scaleMetric",
    "scaleMetricType",
    "containerConcurrency",
    "timeout",
)


def inference_service_facts(item: JsonObject) -> InferenceServiceFacts | None:
    """Facts of an InferenceService. Of one that asks nothing of us only who it is: it may have asked before."""
    metadata, predictor = inner(item, "metadata"), inner(item, "spec", "predictor")
    on_object, on_predictor = _ours(metadata), _ours(predictor)
    annotations = {**on_object, **on_predictor}
    scaling = _word(annotations, SCALING)
    namespace, name = text(metadata, "namespace"), text(metadata, "name")
    part = text(predictor, "name")
    made = f"{name}-{part}-predictor" if part else f"{name}-predictor"
    return InferenceServiceFacts(
        namespace=intern(namespace),
        name=intern(name),
        uid=text(metadata, "uid"),
        generation=number(metadata, "generation"),
        scaling=scaling,
        profile=_word(annotations, PROFILE),
        body=_body(item, made, on_object, on_predictor) if scaling else {},
        predictor=made,
        deployment_mode=_word(annotations, DEPLOYMENT_MODE) or text(inner(item, "status"), "deploymentMode"),
        autoscaler_class=_word(annotations, AUTOSCALER_CLASS),
        canary=any(True for _ in objects(inner(item, "spec"), "canary"))
        or bool(inner(item, "spec", "canary"))
        or predictor.get("canaryTrafficPercent") is not None,
        multi_node=isinstance(predictor.get("workerSpec"), Mapping),
        stopped=_word(annotations, STOP) == "true",
    )


def deployment_facts(item: JsonObject) -> DeploymentFacts | None:
    """Facts of a Deployment that KServe made."""
    metadata, spec, status = inner(item, "metadata"), inner(item, "spec"), inner(item, "status")
    return DeploymentFacts(
        namespace=intern(text(metadata, "namespace")),
        name=intern(text(metadata, "name")),
        inference_service=intern(text(inner(metadata, "labels"), INFERENCE_SERVICE_LABEL)),
        replicas=number(spec, "replicas", otherwise=1),
        autoscaler_class=_word(inner(metadata, "annotations"), AUTOSCALER_CLASS),
        current=number(status, "observedGeneration") >= number(metadata, "generation")
        and number(status, "updatedReplicas") == number(status, "replicas"),
        proxied=proxy_ports(inner(spec, "template", "spec")) is not None,
    )


def pod_facts(item: JsonObject) -> PodFacts | None:
    """Facts of a pod of a predictor."""
    metadata, status = inner(item, "metadata"), inner(item, "status")
    conditions = {text(condition, "type"): condition for condition in objects(status, "conditions")}
    scheduled = conditions.get("PodScheduled", {})
    ports = proxy_ports(inner(item, "spec")) or (0, 0)
    return PodFacts(
        namespace=intern(text(metadata, "namespace")),
        name=text(metadata, "name"),
        uid=text(metadata, "uid"),
        inference_service=intern(text(inner(metadata, "labels"), INFERENCE_SERVICE_LABEL)),
        owner=intern(_owner(metadata, "ReplicaSet")),
        created_at=seconds(metadata, "creationTimestamp") or 0.0,
        deleted=metadata.get("deletionTimestamp") is not None,
        phase=intern(text(status, "phase")),
        message=_short(text(status, "message") or text(status, "reason")),
        ip=text(status, "podIP"),
        port=ports[0],
        admin_port=ports[1],
        scheduled_at=_since(scheduled),
        unschedulable=_short(text(scheduled, "message")) if text(scheduled, "status") == "False" else "",
        initialized_at=_since(conditions.get("Initialized", {})),
        ready_at=_since(conditions.get("Ready", {})),
        init_containers=tuple(_container(entry) for entry in objects(status, "initContainerStatuses")),
        containers=tuple(_container(entry) for entry in objects(status, "containerStatuses")),
        deletion_cost=_word(inner(metadata, "annotations"), "controller.kubernetes.io/pod-deletion-cost"),
    )


def service_facts(item: JsonObject) -> ServiceFacts | None:
    """Facts of a Service that KServe made."""
    metadata, spec = inner(item, "metadata"), inner(item, "spec")
    return ServiceFacts(
        namespace=intern(text(metadata, "namespace")),
        name=intern(text(metadata, "name")),
        inference_service=intern(text(inner(metadata, "labels"), INFERENCE_SERVICE_LABEL)),
        uid=text(metadata, "uid"),
        headless=text(spec, "clusterIP") in ("", "None"),
        ports=tuple(
            ServicePort(
                name=intern(text(port, "name")),
                port=number(port, "port"),
                target_port=intern(str(port.get("targetPort", ""))),
                protocol=intern(text(port, "protocol") or "TCP"),
                app_protocol=intern(text(port, "appProtocol")),
            )
            for port in objects(spec, "ports")
        ),
        families=tuple(map(intern, texts(spec, "ipFamilies"))) or ("IPv4",),
    )


def scaler_facts(item: JsonObject) -> ScalerFacts | None:
    """Facts of a HorizontalPodAutoscaler or a ScaledObject; None where it does not scale a Deployment."""
    metadata, target = inner(item, "metadata"), inner(item, "spec", "scaleTargetRef")
    if (text(target, "kind") or "Deployment") != "Deployment":
        return None
    # KEDA's group is "keda.sh"; items of a list do not name their kind, but a ScaledObject has triggers.
    kind = "ScaledObject" if "triggers" in inner(item, "spec") else "HorizontalPodAutoscaler"
    return ScalerFacts(kind, text(metadata, "namespace"), text(metadata, "name"), text(target, "name"))


def kserve_facts(item: JsonObject) -> KServeFacts | None:
    """What the image of KServe's controller says of its version."""
    for container in objects(inner(item, "spec", "template", "spec"), "containers"):
        image = text(container, "image")
        if "kserve-controller" in image:
            found = re.search(r":v?(\d+)\.(\d+)\.(\d+)", image)
            return KServeFacts(None if found is None else (int(found[1]), int(found[2]), int(found[3])))
    return None


def proxy_ports(pod_spec: JsonObject) -> tuple[int, int] | None:
    """The ports that the queue proxy of a pod listens on, for requests and for us; None when it has none."""
    for container in objects(pod_spec, "containers"):
        if text(container, "name") == PROXY_CONTAINER:
            arguments = (*texts(container, "command"), *texts(container, "args"))
            listen, admin = _port_of(arguments, "--listen"), _port_of(arguments, "--admin")
            return None if listen is None or admin is None else (listen, admin)
    return None


def _port_of(arguments: tuple[str, ...], flag: str) -> int | None:
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == flag:
            value = value or (arguments[index + 1] if index + 1 < len(arguments) else "")
            port = value.rpartition(":")[2]
            return int(port) if port.isascii() and port.isdigit() and 0 < int(port) < 65_536 else None
    return None


def _container(entry: JsonObject) -> ContainerFacts:
    state, last = inner(entry, "state"), inner(entry, "lastState", "terminated")
    waiting, ended = inner(state, "waiting"), inner(state, "terminated")
    return ContainerFacts(
        name=intern(text(entry, "name")),
        ready=entry.get("ready") is True,
        restarts=number(entry, "restartCount"),
        started_at=seconds(inner(state, "running"), "startedAt") or seconds(ended, "startedAt"),
        waiting_reason=intern(text(waiting, "reason")),
        waiting_message=_short(text(waiting, "message")),
        exit_code=number(ended, "exitCode") if ended else None,
        exit_reason=intern(text(ended, "reason")),
        exit_message=_short(text(ended, "message")),
        last_exit_code=number(last, "exitCode") if last else None,
        last_exit_reason=intern(text(last, "reason")),
        last_exit_message=_short(text(last, "message")),
    )


def _body(
    item: JsonObject, made: str, on_object: Mapping[str, object], on_predictor: Mapping[str, object]
) -> Mapping[str, object]:
    namespace, name = text(inner(item, "metadata"), "namespace"), text(inner(item, "metadata"), "name")
    predictor = inner(item, "spec", "predictor")
    kept: dict[str, object] = {field: predictor[field] for field in _KEPT_FIELDS if field in predictor}
    if on_predictor:
        kept["annotations"] = on_predictor
    body: dict[str, object] = {
        "metadata": {"namespace": namespace, "name": name, "annotations": on_object},
        "spec": {"predictor": kept},
    }
    # KServe names none while it has made no way in from outside; the Service is one from inside.
    body["status"] = {"url": text(inner(item, "status"), "url") or f"http://{made}.{namespace}"}
    return body


def _ours(holder: JsonObject) -> dict[str, object]:
    annotations = inner(holder, "annotations")
    return {intern(name): value for name, value in annotations.items() if name.startswith(_KEPT_ANNOTATIONS)}


def _word(annotations: Mapping[str, object], name: str) -> str:
    return intern(text(annotations, name))


def _owner(metadata: JsonObject, kind: str) -> str:
    return next(
        (text(owner, "name") for owner in objects(metadata, "ownerReferences") if text(owner, "kind") == kind), ""
    )


def _since(condition: JsonObject) -> float | None:
    """When a condition became true; None while it is not."""
    return seconds(condition, "lastTransitionTime") if text(condition, "status") == "True" else None


def _short(message: str) -> str:
    """A message that fits into a line of a report: pods' own can be pages."""
    return message if len(message) <= 500 else f"{message[:499]}…"
