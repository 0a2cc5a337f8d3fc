"""An InferenceService and what KServe makes of it, with replicas on fake nodes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.kubernetes_scale.replicas import ADMIN_PORT
from tests.cluster.kwok import TOLERATION

NAMESPACES = 20
REPLICAS = 3
SYSTEM_NAMESPACE = "pilotlight-system"
ACCOUNT = "pilotlight-controller"


def system() -> Iterator[dict[str, object]]:
    """Namespaces, the controller's account, and activators that only the API server knows."""
    for name in (SYSTEM_NAMESPACE, *(namespace(number) for number in range(NAMESPACES))):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    for name in (ACCOUNT, "pilotlight-activator"):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE}}
    labels = {"app.kubernetes.io/name": "pilotlight-activator"}
    yield _deployment("pilotlight-activator", SYSTEM_NAMESPACE, labels, 2, [{"name": "activator", "image": "none"}])


def namespace(number: int) -> str:
    """Where the service of this number is."""
    return f"team-{number % NAMESPACES}"


def service_objects(number: int) -> tuple[dict[str, object], ...]:
    """One service: InferenceService, Deployment, Service."""
    name = f"model-{number}"
    of_kserve = {"serving.kserve.io/inferenceservice": name, "component": "predictor", "app": f"isvc.{name}-predictor"}
    annotations = {
        "pilotlight.dev/scaling": "on",
        "serving.kserve.io/autoscalerClass": "external",
        "serving.kserve.io/deploymentMode": "Standard",
    }
    proxy: dict[str, object] = {
        "name": "transformer-container",
        "image": "none",
        "command": ["python", "-m", "queue_proxy"],
        "args": ["--listen=0.0.0.0:8012", f"--admin=0.0.0.0:{ADMIN_PORT}"],
        "ports": [{"containerPort": 8012}],
    }
    containers: list[dict[str, object]] = [{"name": "kserve-container", "image": "none"}, proxy]
    predictor = {"minReplicas": REPLICAS, "maxReplicas": 5, "containerConcurrency": 10, "containers": containers}
    return (
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name, "namespace": namespace(number), "annotations": annotations},
            "spec": {"predictor": predictor},
        },
        _deployment(f"{name}-predictor", namespace(number), of_kserve, REPLICAS, containers),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{name}-predictor", "namespace": namespace(number), "labels": of_kserve},
            "spec": {
                "selector": {"app": of_kserve["app"]},
                "ports": [{"name": f"{name}-predictor", "port": 80, "targetPort": 8012}],
            },
        },
    )


def _deployment(
    name: str, where: str, labels: dict[str, str], replicas: int, containers: list[dict[str, object]]
) -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": where, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": containers, "tolerations": [TOLERATION]},
            },
        },
    }
