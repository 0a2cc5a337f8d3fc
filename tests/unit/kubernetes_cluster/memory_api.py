"""An API server in memory, behind the interface of a Connection: lists, watches, and the few writes that are made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kubernetes.aio.client.configuration import Configuration

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.copies import AUTOSCALERS, DEPLOYMENTS, INFERENCE_SERVICES, PODS, SERVICES
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, text

SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
ACTIVATORS = "/api/v1/namespaces/pilotlight-system/pods"
_OF_KIND = {
    "deployments": DEPLOYMENTS.path,
    "pods": PODS.path,
    "services": SERVICES.path,
    "inferenceservices": INFERENCE_SERVICES.path,
    "horizontalpodautoscalers": AUTOSCALERS.path,
    "endpointslices": SLICES,
}


async def _nothing() -> Configuration:
    raise AssertionError("nothing is sent")


class MemoryApi(Connection):
    """`writes` has each write: its method, its path and its body. What is in `forbidden` may not be listed."""

    def __init__(self) -> None:
        super().__init__(_nothing)
        self.writes: list[tuple[str, str, JsonObject | None]] = []
        self.forbidden: set[str] = set()
        self._objects: dict[str, dict[str, dict[str, object]]] = {}
        self._watches: dict[str, list[asyncio.Queue[tuple[str, JsonObject]]]] = {}
        self._version = 1

    def put(self, collection: str, item: JsonObject) -> None:
        """Create or replace an object."""
        stored = json.loads(json.dumps(item))
        self._version += 1
        stored["metadata"]["resourceVersion"] = str(self._version)
        objects = self._objects.setdefault(collection, {})
        kind = "MODIFIED" if _key(stored) in objects else "ADDED"
        objects[_key(stored)] = stored
        self._tell(collection, kind, stored)

    def delete(self, collection: str, name: str, namespace: str = "default") -> None:
        gone = self._objects[collection].pop(f"{namespace}/{name}")
        self._version += 1
        self._tell(collection, "DELETED", {**gone, "metadata": {**inner(gone, "metadata"), **self._stamp()}})

    def get(self, collection: str, name: str, namespace: str = "default") -> JsonObject:
        return self._objects.get(collection, {}).get(f"{namespace}/{name}", {})

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
        await asyncio.sleep(0)
        if method == "GET" and query is not None:
            if path in self.forbidden:
                raise ApiError(403, "Forbidden", f"{method} {path}: 403 forbidden")
            items = (
                []
                if "kserve-controller" in query.get("labelSelector", "")
                else list(self._objects.get(path, {}).values())
            )
            return {"metadata": self._stamp(), "items": items}
        self.writes.append((method, path, body))
        collection, namespace, name, subresource = _parts(path)
        if collection is None:
            return {}
        held = self._objects.setdefault(collection, {}).get(f"{namespace}/{name}")
        if method == "POST":
            assert body is not None
            self.put(collection, body)
            return self.get(collection, text(inner(body, "metadata"), "name"), namespace)
        if held is None:
            raise ApiError(404, "NotFound", f"{method} {path}: not found")
        if method == "DELETE":
            self.delete(collection, name, namespace)
        elif method == "PUT":
            assert body is not None
            self.put(collection, body)
        elif subresource == "scale":
            assert body is not None
            replicas = number(inner(body, "spec"), "replicas")
            self.put(collection, {**held, "spec": {**inner(held, "spec"), "replicas": replicas}})
        elif method == "PATCH":
            assert body is not None
            metadata = inner(held, "metadata")
            merged = {**inner(metadata, "annotations"), **inner(body, "metadata", "annotations")}
            kept = {key: value for key, value in merged.items() if value is not None}
            self.put(collection, {**held, "metadata": {**metadata, "annotations": kept}})
        return self.get(collection, name, namespace)

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], idle: float) -> AsyncIterator[AsyncIterator[bytes]]:
        changes: asyncio.Queue[tuple[str, JsonObject]] = asyncio.Queue()
        if "kserve-controller" not in query.get("labelSelector", ""):
            self._watches.setdefault(path, []).append(changes)

        async def lines() -> AsyncIterator[bytes]:
            while True:
                kind, item = await changes.get()
                yield json.dumps({"type": kind, "object": item}).encode()

        yield lines()

    def _tell(self, collection: str, kind: str, item: JsonObject) -> None:
        for changes in self._watches.get(collection, ()):
            changes.put_nowait((kind, item))

    def _stamp(self) -> dict[str, object]:
        return {"resourceVersion": str(self._version)}


def _key(item: JsonObject) -> str:
    metadata = inner(item, "metadata")
    return f"{text(metadata, 'namespace')}/{text(metadata, 'name')}"


def _parts(path: str) -> tuple[str | None, str, str, str]:
    """Collection, namespace, name and subresource of the path of an object."""
    _, _, rest = path.partition("/namespaces/")
    namespace, kind, *more = rest.split("/")
    return _OF_KIND.get(kind), namespace, more[0] if more else "", more[1] if len(more) > 1 else ""
