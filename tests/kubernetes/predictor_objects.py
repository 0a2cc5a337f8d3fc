"""An InferenceService and what KServe makes of it, made by hand: for tests in which KServe itself plays no part."""

from __future__ import annotations

from collections.abc import Mapping

ANNOTATIONS = {
    "pilotlight.dev/scaling": "on",
    "serving.kserve.io/autoscalerClass": "external",
    "serving.kserve.io/deploymentMode": "Standard",
}
IMAGE = "localhost/pause:1"
PREDICTOR = "app=isvc.{name}-predictor"


def inference_service(
    name: str, predictor: Mapping[str, object] | None = None, annotations: Mapping[str, str] = ANNOTATIONS
) -> dict[str, object]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": dict(annotations)},
        "spec": {"predictor": {"minReplicas": 0, "maxReplicas": 5, **(predictor or {})}},
    }


def deployment(
    name: str, *, model: Mapping[str, object] | None = None, replicas: int | None = None
) -> dict[str, object]:
    """`model` is laid over the model's container."""
    labels = {
        "app": f"isvc.{name}-predictor",
        "serving.kserve.io/inferenceservice": name,
        "component": "predictor",
    }
    kserve = {"name": "kserve-container", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "infinity"]}
    proxy = {
        "name": "transformer-container",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", "exec httpd -f -p 8012"],
        "args": ["--listen", "0.0.0.0:8012", "--admin", "0.0.0.0:8022"],
        "ports": [{"containerPort": 8012}],
        "readinessProbe": {"tcpSocket": {"port": 8012}, "periodSeconds": 1},
    }
    pod = {"terminationGracePeriodSeconds": 1, "containers": [{**kserve, **(model or {})}, proxy]}
    spec: dict[str, object] = {
        "selector": {"matchLabels": {"app": labels["app"]}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{name}-predictor", "namespace": "default", "labels": labels},
        "spec": spec,
    }


def service(name: str) -> dict[str, object]:
    labels = {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-predictor", "namespace": "default", "labels": labels},
        "spec": {
            "selector": {"app": f"isvc.{name}-predictor"},
            "ports": [{"name": f"{name}-predictor", "port": 80, "targetPort": 8012}],
        },
    }


def autoscaler(name: str) -> dict[str, object]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-predictor"},
        },
    }


# What KubernetesCluster may do, and no more: the manifests give the controller these and what its other parts need.
RIGHTS: list[dict[str, object]] = [
    {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "patch"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]},
    {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["list", "watch"]},
    {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["pilotlight-profiles"],
        "verbs": ["list", "watch"],
    },
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "list", "watch", "create", "update", "delete"],
    },
]


def account(name: str) -> tuple[dict[str, object], ...]:
    """A service account with these rights."""
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": RIGHTS,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        },
    )
