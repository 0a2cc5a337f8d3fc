"""Objects as an API server sends them, as small as they can be and still be what they are."""

from __future__ import annotations

from collections.abc import Mapping

JsonObject = dict[str, object]

ON = {
    "pilotlight.dev/scaling": "on",
    "serving.kserve.io/autoscalerClass": "external",
    "serving.kserve.io/deploymentMode": "Standard",
}
CREATED = "2026-11-21T12:00:00Z"
CREATED_AT = 1795262400.0
PROXY_ARGS = ["--name", "$(POD_NAME)", "--listen", "0.0.0.0:8012", "--admin=0.0.0.0:8022", "--upstream", "127.0.0.1:80"]


def inference_service(
    name: str = "chat",
    *,
    annotations: Mapping[str, str] = ON,
    predictor: Mapping[str, object] | None = None,
    spec: Mapping[str, object] | None = None,
    status: Mapping[str, object] | None = None,
    generation: int = 1,
    version: str = "1",
) -> JsonObject:
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-{name}",
            "generation": generation,
            "resourceVersion": version,
            "annotations": {**annotations, "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {"predictor": {"model": {"storageUri": "s3://x"}, **(predictor or {})}, **(spec or {})},
        "status": dict(status or {}),
    }


def _labels(service: str) -> JsonObject:
    return {"serving.kserve.io/inferenceservice": service, "component": "predictor"}


def deployment(
    name: str = "chat-predictor",
    service: str = "chat",
    *,
    replicas: int | None = 1,
    args: list[str] | None = None,
    annotations: Mapping[str, str] | None = None,
    status: Mapping[str, object] | None = None,
    version: str = "1",
) -> JsonObject:
    proxy = {"name": "transformer-container", "args": PROXY_ARGS if args is None else args}
    spec: JsonObject = {"template": {"spec": {"containers": [{"name": "kserve-container"}, proxy]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "generation": 1,
            "resourceVersion": version,
            "labels": _labels(service),
            "annotations": dict(annotations or {}),
        },
        "spec": spec,
        "status": dict(status or {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}),
    }


def pod(
    name: str = "chat-predictor-7d4f-aaaaa",
    service: str = "chat",
    *,
    owner: str = "chat-predictor-7d4f",
    created: str = CREATED,
    deleted: bool = False,
    phase: str = "Running",
    conditions: Mapping[str, str] | None = None,
    unschedulable: str = "",
    containers: list[JsonObject] | None = None,
    init_containers: list[JsonObject] | None = None,
    ip: str = "10.0.0.1",
    args: list[str] | None = None,
    annotations: Mapping[str, str] | None = None,
    status: Mapping[str, object] | None = None,
    version: str = "1",
) -> JsonObject:
    held = {"PodScheduled": "True", "Initialized": "True", "Ready": "True"} if conditions is None else conditions
    proxy = {"name": "transformer-container", "args": PROXY_ARGS if args is None else args}
    metadata: JsonObject = {
        "namespace": "default",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": version,
        "creationTimestamp": created,
        "labels": _labels(service),
        "annotations": dict(annotations or {}),
        "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": "rs"}],
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-21T12:10:00Z"
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "kserve-container"}, proxy]},
        "status": {
            "phase": phase,
            "podIP": ip,
            "conditions": [
                {
                    "type": kind,
                    "status": held[kind],
                    "lastTransitionTime": "2026-11-21T12:00:05Z",
                    "message": unschedulable if kind == "PodScheduled" else "",
                }
                for kind in held
            ],
            "containerStatuses": containers or [],
            "initContainerStatuses": init_containers or [],
            **(status or {}),
        },
    }


def container(name: str = "kserve-container", *, restarts: int = 0, **states: Mapping[str, object]) -> JsonObject:
    """States are `running`, `waiting`, `terminated`; `last` is the run before."""
    last = states.pop("last", None)
    return {
        "name": name,
        "ready": False,
        "restartCount": restarts,
        "state": dict(states),
        "lastState": {} if last is None else {"terminated": last},
    }


def service(
    name: str = "chat-predictor", service: str = "chat", *, cluster_ip: str = "10.1.0.1", version: str = "1"
) -> JsonObject:
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": version,
            "labels": _labels(service),
        },
        "spec": {
            "clusterIP": cluster_ip,
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "chat-predictor", "port": 80, "targetPort": 8012, "protocol": "TCP"}],
        },
    }


def autoscaler(name: str = "chat", target: str = "chat-predictor", kind: str = "Deployment") -> JsonObject:
    return {
        "metadata": {"namespace": "default", "name": name, "resourceVersion": "1"},
        "spec": {"scaleTargetRef": {"kind": kind, "name": target}, "metrics": []},
    }


def scaled_object(name: str = "chat", target: str = "chat-predictor") -> JsonObject:
    return {
        "metadata": {"namespace": "default", "name": name, "resourceVersion": "1"},
        "spec": {"scaleTargetRef": {"name": target}, "triggers": [{"type": "cpu"}]},
    }


def kserve_controller(image: str) -> JsonObject:
    return {
        "metadata": {"namespace": "kserve", "name": "kserve-controller-manager", "resourceVersion": "1"},
        "spec": {"template": {"spec": {"containers": [{"name": "manager", "image": image}]}}},
    }
