"""Picture: everything that the doctor has looked at, once. What it means is for others to say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Requests
from autoscaler.cluster.kubernetes.copies import (
    AUTOSCALERS,
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    KSERVE_CONTROLLERS,
    SCALED_OBJECTS,
    SERVICES,
)
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text
from autoscaler.cluster.kubernetes.lease import lease_record
from autoscaler.policy.names import MODEL_CONTAINER, SCALING
from autoscaler.policy.profiles import CONFIG_MAP
from pilotlight.cluster_controller import LEASE, pod_of, proxied
from pilotlight.doctor import gpu_metrics
from pilotlight.doctor.gpu_metrics import GpuMetrics
from pilotlight.doctor.look import Got, Looked, answered, body_of, items_of, look, look_at_all, name_of, namespace_of
from pilotlight.doctor.rights import CONTROLLER, WEBHOOK, Right, rights_of

_WITHIN = 10.0
_AT_ONCE = 16
_NODES_ASKED = 20
_NODE_WITHIN = 3.0
_KUBE_PROXY_HEALTH = 10256
_KSERVE_NAMESPACE = "kserve"
_PART_OF = "app.kubernetes.io/part-of=pilotlight"

# A policy that cannot be right: whoever checks policies at `kubectl apply` refuses it.
_WRONG = {SCALING: "on", "pilotlight.dev/target": "doctor"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What was seen.

    now            seconds since 1970
    namespace      that Pilotlight is installed in
    version        of the API server
    kinds          what KServe's group has, as the API server lists it
    kserve         KServe's controllers; `kserve_namespace` theirs
    configuration  ConfigMap inferenceservice-config
    told           what the controller that leads says of its services; `leader` its pod
    rights         each right of ours, and whether it is there; None: could not be told
    tried_webhook  how the API server took an InferenceService with a mistake (dry run): Got when it was accepted
    daemons        all DaemonSets
    asked_proxies  nodes on which kube-proxy was asked whether it is well, and what came of it
    """

    now: float
    namespace: str
    version: Looked
    kinds: Looked
    kserve: Looked
    kserve_namespace: str
    configuration: Looked
    inference_services: Looked
    deployments: Looked
    services: Looked
    autoscalers: Looked
    scaled_objects: Looked
    profiles: Looked
    own_deployments: Looked
    own_pods: Looked
    lease: Looked
    leader: str
    told: Looked
    secret: Looked
    mutating: Looked
    validating: Looked
    tried_webhook: Looked | None
    rights: Mapping[Right, bool | None]
    daemons: Looked
    asked_proxies: Mapping[str, Looked]
    gpus: GpuMetrics

    @property
    def webhook_installed(self) -> bool:
        """The component is there, or a part of it."""
        return isinstance(self.mutating, Got) or any(
            name_of(item) == WEBHOOK for item in items_of(self.own_deployments)
        )


async def take(requests: Requests, namespace: str, now: float, prometheus: str | None) -> Picture:
    """Look at everything. `prometheus` is the URL to ask; None: the one that the controller was told."""
    own = f"/api/v1/namespaces/{namespace}"
    admission = "/apis/admissionregistration.k8s.io/v1"
    kserve = await look_at_all(requests, KSERVE_CONTROLLERS.path, KSERVE_CONTROLLERS.label_selector)
    kserve_namespace = next((namespace_of(item) for item in items_of(kserve)), _KSERVE_NAMESPACE)
    lease = await look(requests, f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")
    holder = lease_record(body_of(lease)).holder
    leader = pod_of(holder)
    looks = {
        "version": look(requests, "/version"),
        "kinds": look(requests, "/apis/serving.kserve.io/v1beta1"),
        "configuration": look(requests, f"/api/v1/namespaces/{kserve_namespace}/configmaps/inferenceservice-config"),
        "inference_services": look_at_all(requests, INFERENCE_SERVICES.path),
        "deployments": look_at_all(requests, DEPLOYMENTS.path, DEPLOYMENTS.label_selector),
        "services": look_at_all(requests, SERVICES.path, SERVICES.label_selector),
        "autoscalers": look_at_all(requests, AUTOSCALERS.path),
        "scaled_objects": look_at_all(requests, SCALED_OBJECTS.path),
        "profiles": look(requests, f"{own}/configmaps/{CONFIG_MAP}"),
        "own_deployments": look_at_all(requests, f"/apis/apps/v1/namespaces/{namespace}/deployments", _PART_OF),
        "own_pods": look_at_all(requests, f"{own}/pods", _PART_OF),
        "secret": look(requests, f"{own}/secrets/{WEBHOOK}"),
        "mutating": look(requests, f"{admission}/mutatingwebhookconfigurations/{WEBHOOK}"),
        "validating": look(requests, f"{admission}/validatingwebhookconfigurations/{WEBHOOK}"),
        "daemons": look_at_all(requests, "/apis/apps/v1/daemonsets"),
    }
    looked = dict(zip(looks, await asyncio.gather(*looks.values()), strict=True))
    told = await look(requests, f"{proxied(namespace, leader)}/services") if leader else lease
    installed = isinstance(looked["mutating"], Got)
    accounts = (CONTROLLER, WEBHOOK) if installed else (CONTROLLER,)
    return Picture(
        now=now,
        namespace=namespace,
        kserve=kserve,
        kserve_namespace=kserve_namespace,
        lease=lease,
        leader=leader,
        told=told,
        tried_webhook=await _try_webhook(requests, namespace) if installed else None,
        rights=await _rights(requests, namespace, rights_of(*accounts)),
        asked_proxies=await _ask_kube_proxies(requests),
        gpus=await gpu_metrics.ask(requests, prometheus or gpu_metrics.told_to(items_of(looked["own_deployments"]))),
        **looked,
    )


async def _rights(requests: Requests, namespace: str, rights: Iterable[Right]) -> Mapping[Right, bool | None]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def asked(right: Right) -> tuple[Right, bool | None]:
        async with slots:
            path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
            try:
                review = await requests.request("POST", path, body=right.review(namespace), within=_WITHIN)
            except ApiError:
                return right, None
            return right, inner(review, "status").get("allowed") is True

    return dict(await asyncio.gather(*map(asked, rights)))


async def _try_webhook(requests: Requests, namespace: str) -> Looked:
    """Have the API server ask the webhooks about an InferenceService with a mistake. Nothing is stored."""
    body: JsonObject = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "pilotlight-doctor", "namespace": namespace, "annotations": _WRONG},
        "spec": {"predictor": {"containers": [{"name": MODEL_CONTAINER, "image": "none"}]}},
    }
    path = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"
    try:
        return Got(await requests.request("POST", path, query={"dryRun": "All"}, body=body, within=_WITHIN))
    except ApiError as error:
        return answered(error)


async def _ask_kube_proxies(requests: Requests) -> Mapping[str, Looked]:
    """What answers on kube-proxy's health port of some nodes; empty where nodes cannot be listed."""
    found = await look(requests, "/api/v1/nodes", {"limit": str(_NODES_ASKED)})
    listed = body_of(found).get("items")
    nodes = [
        text(inner(item, "metadata"), "name")
        for item in islice(listed if isinstance(listed, list) else [], _NODES_ASKED)
    ]
    ways = [f"/api/v1/nodes/{node}:{_KUBE_PROXY_HEALTH}/proxy/healthz" for node in nodes]
    return dict(
        zip(nodes, await asyncio.gather(*(look(requests, way, within=_NODE_WITHIN) for way in ways)), strict=True)
    )
