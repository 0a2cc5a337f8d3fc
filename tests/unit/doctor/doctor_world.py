"""A cluster in which nothing is missing, as the doctor sees it; tests break one thing of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from admission.certificates import issue_authority, issue_serving
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.policy import keys_knative, keys_pilotlight
from pilotlight.doctor.examination import examine
from pilotlight.doctor.finding import Finding
from pilotlight.doctor.picture import take

NOW = 1_800_000_000.0
DAY = 24 * 3600.0
SYSTEM = "pilotlight-system"
PROXY = ["--listen=0.0.0.0:8012", "--admin=0.0.0.0:8022"]
OWN_LIST = [
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    "internal.serving.kserve.io/storage-initializer-sourceuri",
    "kubectl.kubernetes.io/last-applied-configuration",
    "modelFormat",
]
ALL_LISTED = [
    *OWN_LIST,
    *(
        name
        for key in (*keys_pilotlight.KEYS, *keys_knative.KEYS)
        for name in (key.name, *key.spellings)
        if name not in OWN_LIST
    ),
]
ON = {"pilotlight.dev/scaling": "on", "serving.kserve.io/autoscalerClass": "external"}


def metadata(name: str, namespace: str = "team", **more: object) -> dict[str, object]:
    return {"name": name, "namespace": namespace, **more}


def isvc(name: str = "chat", annotations: Mapping[str, str] = ON, **predictor: object) -> dict[str, Any]:
    rolling = {"deploymentStrategy": {"rollingUpdate": {"maxUnavailable": 1}}}
    return {
        "metadata": metadata(name, annotations=dict(annotations)),
        "spec": {"predictor": {**rolling, **predictor}},
        "status": {"deploymentMode": "Standard"},
    }


def of_kserve(name: str = "chat") -> dict[str, str]:
    return {"serving.kserve.io/inferenceservice": name, "component": "predictor"}


def predictor(name: str = "chat", args: list[str] = PROXY, annotations: Mapping[str, str] | None = None) -> Any:
    containers = [{"name": "kserve-container"}, {"name": "transformer-container", "args": args}]
    template = {"metadata": {"annotations": dict(annotations or {})}, "spec": {"containers": containers}}
    return {"metadata": metadata(f"{name}-predictor", labels=of_kserve(name)), "spec": {"template": template}}


def service(name: str = "chat", cluster_ip: str = "10.0.0.9") -> Any:
    ports = [{"port": 80, "targetPort": 8012}]
    spec = {"clusterIP": cluster_ip, "ports": ports, "ipFamilies": ["IPv4"]}
    return {"metadata": metadata(f"{name}-predictor", labels=of_kserve(name)), "spec": spec}


def component(name: str, replicas: int = 2, available: int = 2, image: str = "pilotlight:0.1.0", args: Any = ()) -> Any:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "pilotlight"}
    template = {"spec": {"containers": [{"image": image, "args": list(args)}]}}
    return {
        "metadata": metadata(name, SYSTEM, labels=labels),
        "spec": {"replicas": replicas, "template": template},
        "status": {"availableReplicas": available, "updatedReplicas": available},
    }


def activator_pod(name: str) -> Any:
    labels = {"app.kubernetes.io/name": "pilotlight-activator"}
    return {"metadata": metadata(name, SYSTEM, labels=labels), "status": {"phase": "Running"}}


def kserve_controller(image: str = "kserve/kserve-controller:v0.20.0", available: int = 1) -> Any:
    return {
        "metadata": metadata("kserve-controller-manager", "kserve"),
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"availableReplicas": available},
    }


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


@cache
def certificates(days: int = 60) -> tuple[str, str]:
    """An authority and a certificate that it has signed, which has `days` left."""
    authority = issue_authority(NOW, 700 * DAY)
    return encoded(authority.certificate), encoded(issue_serving(authority, ["x"], NOW, days * DAY).certificate)


def webhook_configuration(name: str, bundle: str, namespace: str = SYSTEM) -> Any:
    client = {"caBundle": bundle, "service": {"namespace": namespace, "name": "pilotlight-webhook"}}
    return {"metadata": {"name": "pilotlight-webhook"}, "webhooks": [{"name": name, "clientConfig": client}]}


class World:
    """Requests: what the API server would answer. Change `answers`, `lists`, `refused` before `findings`."""

    def __init__(self) -> None:
        bundle, certificate = certificates()
        admission = "/apis/admissionregistration.k8s.io/v1"
        own = f"/api/v1/namespaces/{SYSTEM}"
        self.refused: dict[str, ApiError] = {}
        self.denied_rights: set[tuple[str, str]] = set()
        self.checks = True
        self.dry_run: ApiError | None = None
        self.lease = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/pilotlight-controller"
        self.leader = f"{own}/pods/pilotlight-controller-a:7330/proxy/services"
        self.config = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"
        self.secret = f"{own}/secrets/pilotlight-webhook"
        self.mutating = f"{admission}/mutatingwebhookconfigurations/pilotlight-webhook"
        self.validating = f"{admission}/validatingwebhookconfigurations/pilotlight-webhook"
        self.answers: dict[str, Any] = {
            "/version": {"major": "1", "minor": "34+", "gitVersion": "v1.34.4"},
            "/apis/serving.kserve.io/v1beta1": {"resources": [{"name": "inferenceservices"}]},
            self.config: {"data": {}},
            self.lease: {
                "spec": {"holderIdentity": "pilotlight-controller-a_0123abcd", "renewTime": "2027-01-15T08:00:00.0Z"}
            },
            self.leader: {"activators": ["activator-1", "activator-2"], "cluster_trouble": [], "services": []},
            self.secret: {"data": {"tls.crt": certificate, "tls.key": encoded(b"never looked at")}},
            self.mutating: webhook_configuration("inject.pilotlight.dev", bundle),
            self.validating: webhook_configuration("check.pilotlight.dev", bundle),
        }
        self.configure(
            deploy={"defaultDeploymentMode": "Standard"},
            service={"serviceClusterIPNone": False},
            ingress={"disableIngressCreation": True},
            inferenceService={"serviceAnnotationDisallowedList": ALL_LISTED},
        )
        self.lists: dict[str, list[Any]] = {
            "inferenceservices": [isvc()],
            "deployments of kserve": [kserve_controller()],
            "deployments": [predictor()],
            "services": [service()],
            "horizontalpodautoscalers": [],
            "scaledobjects": [],
            "own deployments": [
                component(f"pilotlight-{name}", args=args)
                for name, args in (("controller", ["--prometheus=http://p.monitoring:9090"]), ("activator", []))
            ],
            "own pods": [activator_pod("activator-1"), activator_pod("activator-2")],
            "daemonsets": [{"metadata": metadata("kube-proxy", "kube-system")}],
            "nodes": [{"metadata": {"name": "node-1"}}],
        }
        self.prometheus: Any = [{"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL"}, "value": [NOW, "8"]}]

    def configure(self, **entries: object) -> None:
        """Entries of KServe's configuration."""
        data = self.answers[self.config]["data"]
        data |= {name: json.dumps(body) for name, body in entries.items()}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        within: float = 5.0,
    ) -> JsonObject:
        if (refusal := self.refused.get(path)) is not None:
            raise refusal
        if method == "POST":
            return self._posted(path, body or {})
        if path in self.answers:
            answer: JsonObject = self.answers[path]
            return answer
        if path == "/api/v1/namespaces/monitoring/services/p:9090/proxy/api/v1/query":
            return {"status": "success", "data": {"result": self.prometheus}}
        kind = self._kind(path, (query or {}).get("labelSelector", ""))
        if kind in self.lists:
            return {"items": self.lists[kind], "metadata": {}}
        raise ApiError(404, "NotFound", f"{method} {path}: 404 not found")

    def _kind(self, path: str, selector: str) -> str:
        last = path.rpartition("/")[2]
        if "part-of=pilotlight" in selector:
            return f"own {last}"
        return "deployments of kserve" if "kserve-controller" in selector else last

    def _posted(self, path: str, body: Any) -> JsonObject:
        if path.endswith("subjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            return {"status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied_rights}}
        assert path.endswith("/inferenceservices")
        if self.dry_run is not None:
            raise self.dry_run
        if not self.checks:
            return body  # type: ignore[no-any-return]
        raise ApiError(400, "", 'admission webhook "check.pilotlight.dev" denied the request: doctor is not a number')

    async def findings(self) -> dict[str, Finding]:
        """By name; a test of one of several with a name looks at `all_findings`."""
        return {finding.name: finding for finding in await self.all_findings()}

    async def all_findings(self) -> tuple[Finding, ...]:
        return examine(await take(self, SYSTEM, NOW, None))
