"""One reconcile of an InferenceService, in KServe's order and with its quirks, each of which can break an autoscaler.

- A Deployment is created without replicas, so the API server makes them 1.
- The desired Deployment is sent as a dry-run PUT without resourceVersion, through all webhooks; the answer is what is
  compared, spec against spec, and replicas are left out of it unless the class is `none`.
- What differs is patched over the whole object, metadata too: what others have put on the Deployment goes away then.
  (KServe sends a strategic merge patch; a JSON merge patch of the same two objects has the same effect.)
- The Service is compared by ports and selector, and else replaced whole.
- Deployments and Services that carry both of KServe's labels and are not its own are deleted, whoever made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from tests.kubernetes.kserve.api import Api, ApiError, items
from tests.kubernetes.kserve.objects import OF_SERVICE, STOP, Configuration, Objects, objects
from tests.kubernetes.kserve.pod_spec import Json, Runtime, UnsupportedError, mapping, sequence

ISVCS = "/apis/serving.kserve.io/v1beta1"


class Reconciler:
    """Makes what KServe would make. `configuration` and `runtimes` are read anew for every reconcile."""

    def __init__(self, api: Api) -> None:
        """Speak through `api`."""
        self._api = api

    async def reconcile(self, isvc: Json, runtimes: Sequence[Runtime], configuration: Configuration) -> None:
        """Bring one InferenceService's objects and status up to date. Raises ApiError."""
        metadata = mapping(isvc["metadata"])
        namespace = str(metadata["namespace"])
        if mapping(metadata.get("annotations")).get(STOP) == "true":
            await self._clean_up(namespace, str(metadata["name"]), keep="")
            await self._report(isvc, [_condition("Ready", "False", "Stopped")])
            return
        try:
            wanted = objects(isvc, runtimes, configuration)
        except UnsupportedError as error:
            await self._report(isvc, [_condition("Ready", "False", "ReconcileFailed", str(error))])
            return
        deployment = await self._deployment(namespace, wanted)
        await self._service(namespace, wanted.service)
        await self._hpa(namespace, wanted)
        await self._clean_up(namespace, str(metadata["name"]), keep=str(mapping(wanted.deployment["metadata"])["name"]))
        await self._report(isvc, _conditions(deployment))

    async def _deployment(self, namespace: str, wanted: Objects) -> Json:
        desired = deepcopy(wanted.deployment)
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        name = mapping(desired["metadata"])["name"]
        existing = await self._api.get(f"{path}/{name}")
        if existing is None:
            return await self._api.call("POST", path, desired)
        tried = await self._api.call("PUT", f"{path}/{name}?dryRun=All", desired)
        owns_replicas = wanted.autoscaler_class == "none"
        if _spec(tried, owns_replicas) == _spec(existing, owns_replicas):
            return existing
        patch = merge_patch(_comparable(existing, owns_replicas), _comparable(tried, owns_replicas))
        return await self._api.call("PATCH", f"{path}/{name}", patch, "application/merge-patch+json")

    async def _service(self, namespace: str, desired: Json) -> None:
        path = f"/api/v1/namespaces/{namespace}/services"
        name = mapping(desired["metadata"])["name"]
        existing = await self._api.get(f"{path}/{name}")
        if existing is None:
            await self._api.call("POST", path, desired)
            return
        had, wants = mapping(existing["spec"]), mapping(desired["spec"])
        if had.get("ports") != wants["ports"] or had.get("selector") != wants["selector"]:
            await self._api.call("PUT", f"{path}/{name}", desired)

    async def _hpa(self, namespace: str, wanted: Objects) -> None:
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        name = mapping(wanted.deployment["metadata"])["name"]
        existing = await self._api.get(f"{path}/{name}")
        if existing is None and wanted.hpa is not None:
            await self._api.call("POST", path, wanted.hpa)
        elif existing is not None and wanted.autoscaler_class in ("external", "none") and _owned(existing):
            await self._api.call("DELETE", f"{path}/{name}")

    async def _clean_up(self, namespace: str, isvc: str, keep: str) -> None:
        """Delete what looks like a canary that is no longer wanted; nobody's ownership is looked at."""
        selector = f"{OF_SERVICE}={isvc},component=predictor"
        for collection in (
            f"/apis/apps/v1/namespaces/{namespace}/deployments",
            f"/api/v1/namespaces/{namespace}/services",
        ):
            for found in items(await self._api.call("GET", f"{collection}?labelSelector={selector}")):
                name = mapping(found["metadata"])["name"]
                if name != keep:
                    await self._gone(f"{collection}/{name}")

    async def _gone(self, path: str) -> None:
        try:
            await self._api.call("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    async def _report(self, isvc: Json, conditions: list[Json]) -> None:
        metadata = mapping(isvc["metadata"])
        name, namespace = metadata["name"], metadata["namespace"]
        status = {
            "conditions": conditions,
            "observedGeneration": metadata.get("generation"),
            "deploymentMode": "Standard",
            "url": f"http://{name}-{namespace}.example.com",
            "address": {"url": f"http://{name}-predictor.{namespace}.svc.cluster.local"},
        }
        if mapping(isvc.get("status")) != status:
            path = f"{ISVCS}/namespaces/{namespace}/inferenceservices/{name}/status"
            await self._api.call("PATCH", path, {"status": status}, "application/merge-patch+json")


def merge_patch(old: Json, new: Json) -> Json:
    """The JSON merge patch (RFC 7386) that makes `new` of `old`."""
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def _spec(deployment: Json, owns_replicas: bool) -> Json:
    spec = mapping(deployment["spec"])
    return spec if owns_replicas else {key: value for key, value in spec.items() if key != "replicas"}


def _comparable(deployment: Json, owns_replicas: bool) -> Json:
    """What the patch is made of: the server's own fields do not count, and replicas only where KServe owns them."""
    fields = ("labels", "annotations", "finalizers", "ownerReferences")
    metadata = {key: value for key, value in mapping(deployment["metadata"]).items() if key in fields}
    metadata["annotations"] = {
        key: value
        for key, value in mapping(metadata.get("annotations")).items()
        if not key.startswith("deployment.kubernetes.io/")
    }
    return {"metadata": metadata, "spec": _spec(deployment, owns_replicas)}


def _owned(thing: Json) -> bool:
    owners = sequence(mapping(thing["metadata"]).get("ownerReferences"))
    return any(mapping(owner).get("kind") == "InferenceService" for owner in owners)


def _conditions(deployment: Json) -> list[Json]:
    """PredictorReady follows Available; a Deployment at zero counts as available."""
    reported = {
        mapping(entry)["type"]: mapping(entry)
        for entry in sequence(mapping(deployment.get("status")).get("conditions"))
    }
    available = reported.get("Available")
    status = str(available["status"]) if available else "Unknown"
    return [
        _condition("IngressReady", "True"),
        _condition("PredictorReady", status),
        _condition("Ready", status),
    ]


def _condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    made: Json = {"type": kind, "status": status}
    return made | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})
