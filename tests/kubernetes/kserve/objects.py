"""The Deployment, the Service and the HPA that KServe makes of an InferenceService in Standard mode. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.kubernetes.kserve.pod_spec import (
    MODEL,
    SIDECAR,
    Json,
    Runtime,
    UnsupportedError,
    mapping,
    pod_spec,
    sequence,
)

DOMAIN = "serving.kserve.io/"
AUTOSCALER_CLASS = DOMAIN + "autoscalerClass"
STOP = DOMAIN + "stop"
OF_SERVICE = DOMAIN + "inferenceservice"
_CLASSES = ("hpa", "external", "keda", "none")
_AGENT_PORT = 9081


@dataclass(frozen=True)
class Configuration:
    """What the ConfigMap inferenceservice-config says: annotations that are not copied, and whether Services are
    headless."""

    not_copied: frozenset[str] = frozenset()
    headless: bool = False


@dataclass(frozen=True)
class Objects:
    """What shall exist for one InferenceService. `hpa` is None under every class but hpa."""

    deployment: Json
    service: Json
    hpa: Json | None
    autoscaler_class: str


def objects(isvc: Json, runtimes: Sequence[Runtime], configuration: Configuration) -> Objects:
    """What KServe would make. Raises UnsupportedError."""
    name = str(mapping(isvc["metadata"])["name"])
    predictor = mapping(mapping(isvc.get("spec")).get("predictor"))
    spec, runtime = pod_spec(name, predictor, runtimes)
    component = f"{name}-{predictor['name']}-predictor" if predictor.get("name") else f"{name}-predictor"
    metadata = _metadata(isvc, predictor, runtime, component, configuration)
    class_ = str(mapping(metadata["annotations"]).get(AUTOSCALER_CLASS, "hpa"))
    if class_ not in _CLASSES:
        raise UnsupportedError(f"autoscalerClass {class_!r} is not one of {', '.join(_CLASSES)}")
    return Objects(
        _deployment(metadata, spec, predictor, class_),
        _service(metadata, spec, predictor, component, configuration),
        _hpa(metadata, predictor, component) if class_ == "hpa" else None,
        class_,
    )


def _metadata(
    isvc: Json, predictor: Json, runtime: Runtime | None, component: str, configuration: Configuration
) -> Json:
    """One ObjectMeta for all: later sources win; every annotation that is not on the list reaches the pods."""
    own = mapping(isvc["metadata"])
    name = str(own["name"])
    base = runtime.spec if runtime else {}
    annotations = {
        **mapping(base.get("annotations")), **mapping(own.get("annotations")), **mapping(predictor.get("annotations")),
    }  # fmt: skip
    return {
        "name": component,
        "namespace": own["namespace"],
        "labels": {
            **mapping(base.get("labels")),
            **mapping(own.get("labels")),
            **mapping(predictor.get("labels")),
            OF_SERVICE: name,
            "component": "predictor",
            "app": f"isvc.{component}",
        },
        "annotations": {key: value for key, value in annotations.items() if key not in configuration.not_copied},
        "ownerReferences": [
            {
                "apiVersion": isvc["apiVersion"],
                "kind": "InferenceService",
                "name": name,
                "uid": own["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _deployment(metadata: Json, spec: Json, predictor: Json, class_: str) -> Json:
    strategy = predictor.get("deploymentStrategy") or {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    template = {key: metadata[key] for key in ("labels", "annotations")}
    body: Json = {
        "selector": {"matchLabels": {"app": mapping(metadata["labels"])["app"]}},
        "strategy": strategy,
        "template": {"metadata": template, "spec": spec},
    }
    if class_ == "none":  # the one class under which KServe owns the number
        minimum = predictor.get("minReplicas")
        body["replicas"] = 1 if minimum is None else minimum
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


def _service(metadata: Json, spec: Json, predictor: Json, component: str, configuration: Configuration) -> Json:
    ports = _ports(spec, component)
    if predictor.get("logger") or predictor.get("batcher"):
        ports[0]["targetPort"] = _AGENT_PORT
    body: Json = {"selector": {"app": mapping(metadata["labels"])["app"]}, "ports": ports}
    if configuration.headless:
        body["clusterIP"] = "None"
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


def _ports(spec: Json, component: str) -> list[Json]:
    containers = [mapping(container) for container in sequence(spec["containers"])]
    by_name = {container["name"]: container for container in containers}
    declared = sequence((by_name.get(SIDECAR) or by_name.get(MODEL) or containers[0]).get("ports"))
    if not declared:
        return [{"name": component, "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    result = []
    for index, entry in enumerate(declared):
        port = mapping(entry)
        number = port["containerPort"]
        made: Json = {
            "port": 80 if index == 0 else number,
            "targetPort": number,
            "protocol": port.get("protocol", "TCP"),
        }
        if port.get("name"):
            made["name"] = port["name"]
            if "grpc" in str(port["name"]) or "h2c" in str(port["name"]):
                made["appProtocol"] = "kubernetes.io/h2c"
        result.append(made)
    return result


def _hpa(metadata: Json, predictor: Json, component: str) -> Json:
    """Its floor is 1 whatever minReplicas says."""
    floor = max(1, int(str(predictor.get("minReplicas") or 1)))
    ceiling = max(floor, int(str(predictor.get("maxReplicas") or 0)))
    target = {"type": "Utilization", "averageUtilization": int(str(predictor.get("scaleTarget") or 80))}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": component},
            "minReplicas": floor,
            "maxReplicas": ceiling,
            "metrics": [
                {"type": "Resource", "resource": {"name": predictor.get("scaleMetric") or "cpu", "target": target}}
            ],
        },
    }
