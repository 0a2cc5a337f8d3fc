"""An InferenceService that Pilotlight scales, as a test makes one and follows it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tests.kubernetes.installation import Installation
from tests.kubernetes.kserve.api import Api, items

MODEL_IMAGE = "pilotlight/example-server:0.1.0"
QUICK = {"stable-window": "2s", "scale-to-zero-grace-period": "0s", "backlog-drain-objective": "2s"}
_SPREAD = 1.5  # until each kube-proxy has followed
QUESTION = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}


def inference_service(
    name: str,
    *,
    policy: Mapping[str, str] = QUICK,
    predictor: Mapping[str, object] | None = None,
    arguments: Sequence[str] = (),
    containers: Sequence[Mapping[str, object]] | None = None,
) -> dict[str, object]:
    """What a user writes: a model, the annotation, and how it shall be scaled."""
    model = {
        "name": "kserve-container",
        "image": MODEL_IMAGE,
        "command": ["pilotlight", "example-server"],
        "args": ["--port=8080", f"--model={name}", "--protocol=oip", *arguments],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": f"/v2/models/{name}/ready", "port": 8080}, "periodSeconds": 1},
    }
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "external",
        "pilotlight.dev/scaling": "on",
        **{f"pilotlight.dev/{key}": value for key, value in policy.items()},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "predictor": {
                "minReplicas": 0,
                "maxReplicas": 3,
                "containerConcurrency": 4,
                "containers": [model] if containers is None else list(containers),
                **(predictor or {}),
            }
        },
    }


class ManagedService:
    """One InferenceService in the cluster. Use it inside the cluster's network, as an asynchronous context manager."""

    def __init__(self, installed: Installation, body: Mapping[str, Any], *, keep: bool = False) -> None:
        """`keep`: it is left in the cluster, for the next test that names it."""
        self.installed = installed
        self.body = body
        self._keep = keep
        self.name = str(body["metadata"]["name"])
        self.url = f"http://{self.name}-predictor.default"
        self.infer = f"{self.url}/v2/models/{self.name}/infer"
        self._api = Api(installed.cluster.kubeconfig)
        self._deployment = f"/apis/apps/v1/namespaces/default/deployments/{self.name}-predictor"

    async def __aenter__(self) -> ManagedService:
        """Apply it."""
        await self._api.__aenter__()
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(self.body))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Delete it; what is left of its pods is in nobody's way."""
        if not self._keep:
            await self.kubectl("delete", "inferenceservice", self.name, "-n", "default", "--wait=false")
        await self._api.__aexit__()

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl, beside the event loop."""
        return await asyncio.to_thread(self.installed.cluster.kubectl, *arguments, stdin=stdin)

    async def deployment(self) -> dict[str, Any] | None:
        """KServe's Deployment of it, None before there is one."""
        return await self._api.get(self._deployment)

    async def wanted(self) -> int:
        """Replicas that its Deployment is asked for; −1 before there is one."""
        found = await self.deployment()
        return -1 if found is None else int(found["spec"]["replicas"])

    async def ready(self) -> int:
        """Replicas that are ready."""
        found = await self.deployment()
        return 0 if found is None else int(found["status"].get("readyReplicas") or 0)

    async def pods(self) -> list[dict[str, Any]]:
        """Its pods that are not about to end."""
        selector = f"labelSelector=serving.kserve.io/inferenceservice={self.name}"
        listed = items(await self._api.call("GET", f"/api/v1/namespaces/default/pods?{selector}"))
        found: list[dict[str, Any]] = [dict(pod) for pod in listed]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def slices(self) -> list[dict[str, Any]]:
        """All EndpointSlices of its Service."""
        selector = f"labelSelector=kubernetes.io/service-name={self.name}-predictor"
        path = f"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?{selector}"
        return [dict(one) for one in items(await self._api.call("GET", path))]

    async def asleep(self, seconds: float = 60.0) -> float:
        """Wait until nothing is asked of its Deployment; how long that took."""
        return await self.until(lambda: self._is(self.wanted, 0), f"{self.name} to go to sleep", seconds)

    async def at_rest(self, seconds: float = 60.0) -> float:
        """Wait until it is asleep, and nobody is led to a pod of it any more; how long that took."""

        async def left() -> bool:
            theirs = [one for one in await self.slices() if not _is_ours(one)]
            return not any(endpoint["conditions"].get("ready") for one in theirs for endpoint in one["endpoints"] or ())

        slept = await self.asleep(seconds)
        slept += await self.until(left, f"{self.name}'s pods to leave its Service", seconds)
        await asyncio.sleep(_SPREAD)
        return slept

    async def awake(self, replicas: int = 1, seconds: float = 60.0) -> float:
        """Wait until so many replicas are ready; how long that took."""
        return await self.until(lambda: self._is(self.ready, replicas), f"{replicas} replicas of {self.name}", seconds)

    async def awake_once(self, seconds: float = 60.0) -> None:
        """Wait until a pod of it has been ready, now or before."""

        async def was_ready() -> bool:
            notes = [one["metadata"].get("annotations", {}) for one in await self.slices()]
            return any("pilotlight.dev/ready-generation" in note for note in notes)

        await self.until(was_ready, f"{self.name} to have been ready", seconds)

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float) -> float:
        """Wait for it; says what the controller knows when it does not come. Returns how long that took."""
        began = time.monotonic()
        while not await condition():
            if time.monotonic() > began + seconds:
                raise AssertionError(f"waited {seconds:g} s for {what}: {await asyncio.to_thread(self.explanation)}")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    def explanation(self) -> str:
        """What the controller says of it, and the last words of our components."""
        try:
            said = json.dumps(self.installed.explain(f"default/{self.name}", 3))
        except Exception as error:
            said = str(error)
        return f"{said}\n{self.installed.logs('pilotlight-controller', 20)}"

    @staticmethod
    async def _is(value: Callable[[], Awaitable[int]], expected: int) -> bool:
        return await value() == expected


def _is_ours(endpoint_slice: Mapping[str, Any]) -> bool:
    return bool(endpoint_slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "pilotlight.dev")
