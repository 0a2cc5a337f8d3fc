"""How much memory the view of a large cluster takes, and what one change costs.

    python -m benchmarks.kubernetes_memory [SERVICES]

Lists come page by page as JSON texts, each object as large as KServe and a kubelet make them, so that what passes
through counts in the peak. Everything is real but the API server; slices are written to nowhere.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import perf_counter

from kubernetes.aio.client.configuration import Configuration

from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.cluster.kubernetes.opening import kubernetes_cluster
from benchmarks.peak_memory import peak_mib

_PODS_EACH = 3
_OF_KSERVE = {"serving.kserve.io/inferenceservice": "", "component": "predictor"}
_FILLING = [{"name": f"VARIABLE_{number}", "value": "x" * 60} for number in range(60)]
_OWNED = [{"manager": "manager", "fieldsV1": {f"f:field{number}": {} for number in range(120)}}]
_TIME = "2026-11-21T12:00:00Z"


def main() -> None:
    """Print one line of JSON: seconds and MiB."""
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    print(json.dumps(asyncio.run(_measured(services))))


_QUIET_SECONDS = 3.0


async def _measured(services: int) -> dict[str, float]:
    idle = peak_mib()
    server = _Lists(services)
    began = perf_counter()
    async with kubernetes_cluster(server, server, "pilotlight-system", "benchmark") as cluster:
        watch = cluster.watch()
        views = await anext(watch)
        synced = perf_counter() - began
        while not all(view.port for view in views):
            views = await anext(watch)
        written = perf_counter() - began
        # Slices that were written count after a while; what they change must not be taken for the one change.
        coming = asyncio.ensure_future(anext(watch))
        while (await asyncio.wait({coming}, timeout=_QUIET_SECONDS))[0]:
            views = coming.result()
            coming = asyncio.ensure_future(anext(watch))
        began = perf_counter()
        change = server.changes["/api/v1/pods"]
        await change.put(_pod(0, 0, ready=False))
        changed = await coming
        one_change = perf_counter() - began
        same = sum(1 for before, after in zip(views, changed, strict=True) if before is after)
        await watch.aclose()  # type: ignore[attr-defined]
    return {
        "services": services,
        "pods": services * _PODS_EACH,
        "listed_megabytes": round(server.bytes / 2**20),
        "idle_mib": round(idle),
        "peak_mib": round(peak_mib()),
        "first_view_seconds": round(synced, 2),
        "all_ports_seconds": round(written, 2),
        "one_change_milliseconds": round(one_change * 1e3, 1),
        "views_changed": services - same,
    }


class _Lists(Connection):
    """An API server that lists, and tells of changes that are put into `changes`."""

    def __init__(self, services: int) -> None:
        super().__init__(_no_configuration)
        self.bytes = 0
        self.changes: dict[str, asyncio.Queue[JsonObject]] = {}
        self._services = services
        self._version = 1_000_000

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
        """A page of a list, or what was written."""
        if method != "GET":
            self._version += 1
            written = json.loads(json.dumps(body or {}))
            written.get("metadata", {})["resourceVersion"] = str(self._version)
            return written if isinstance(written, dict) else {}
        limit, start = int((query or {})["limit"]), int((query or {}).get("continue", "0"))
        made, total = self._kind(path, query or {})
        items = [made(number) for number in range(start, min(start + limit, total))]
        rest = str(start + limit) if start + limit < total else ""
        page = json.dumps({"metadata": {"resourceVersion": "1000000", "continue": rest}, "items": items}).encode()
        del items
        self.bytes += len(page)
        await asyncio.sleep(0)
        read = json.loads(page)
        return read if isinstance(read, dict) else {}

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], idle: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Changes of one collection."""
        changes = self.changes.setdefault(path, asyncio.Queue())

        async def lines() -> AsyncIterator[bytes]:
            while True:
                yield json.dumps({"type": "MODIFIED", "object": await changes.get()}).encode()

        yield lines()

    def _kind(self, path: str, query: Mapping[str, str]):  # type: ignore[no-untyped-def]
        if "kserve-controller" in query.get("labelSelector", ""):
            return _deployment, 0
        match path.rpartition("/")[2]:
            case "inferenceservices":
                return _inference_service, self._services
            case "deployments":
                return _deployment, self._services
            case "services":
                return _service, self._services
            case "pods" if "namespaces" not in path:
                return lambda number: _pod(*divmod(number, _PODS_EACH)), self._services * _PODS_EACH
        return _service, 0


async def _no_configuration() -> Configuration:
    raise AssertionError("nothing is sent")


def _metadata(number: int, name: str) -> dict[str, object]:
    return {
        "namespace": f"team-{number % 50}",
        "name": name,
        "uid": f"00000000-0000-0000-0000-{number:012d}",
        "generation": 1,
        "resourceVersion": str(number + 1),
        "creationTimestamp": _TIME,
        "labels": {**_OF_KSERVE, "serving.kserve.io/inferenceservice": f"model-{number}", "team": "x" * 20},
        "managedFields": _OWNED,
    }


def _inference_service(number: int) -> dict[str, object]:
    metadata = _metadata(number, f"model-{number}")
    metadata["annotations"] = {
        "pilotlight.dev/scaling": "on",
        "serving.kserve.io/autoscalerClass": "external",
        "serving.kserve.io/deploymentMode": "Standard",
        "kubectl.kubernetes.io/last-applied-configuration": "x" * 4_000,
    }
    containers = [{"name": "kserve-container", "env": _FILLING}, {"name": "transformer-container"}]
    status = {"url": f"http://model-{number}.example.com", "conditions": [{"message": "x" * 200}] * 8}
    return {
        "metadata": metadata,
        "spec": {"predictor": {"minReplicas": 0, "maxReplicas": 5, "containers": containers}},
        "status": status,
    }


def _containers() -> list[dict[str, object]]:
    proxy = ["--listen", "0.0.0.0:8012", "--admin", "0.0.0.0:8022"]
    return [{"name": "kserve-container", "env": _FILLING}, {"name": "transformer-container", "args": proxy}]


def _deployment(number: int) -> dict[str, object]:
    return {
        "metadata": _metadata(number, f"model-{number}-predictor"),
        "spec": {"replicas": _PODS_EACH, "template": {"spec": {"containers": _containers()}}},
        "status": {"observedGeneration": 1, "replicas": _PODS_EACH, "updatedReplicas": _PODS_EACH},
    }


def _service(number: int) -> dict[str, object]:
    ports = [{"name": f"model-{number}-predictor", "port": 80, "targetPort": 8012, "protocol": "TCP"}]
    return {
        "metadata": _metadata(number, f"model-{number}-predictor"),
        "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "ports": ports},
    }


def _pod(number: int, index: int, *, ready: bool = True) -> dict[str, object]:
    owner = f"model-{number}-predictor-7d4f9c"
    metadata = _metadata(number, f"{owner}-{index:05d}")
    metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": owner, "uid": "x" * 36}]
    held = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    conditions = [{"type": kind, "status": str(value), "lastTransitionTime": _TIME} for kind, value in held.items()]
    running = {"ready": True, "restartCount": 0, "state": {"running": {"startedAt": _TIME}}, "imageID": "x" * 120}
    return {
        "metadata": metadata,
        "spec": {"containers": _containers(), "volumes": [{"name": "x" * 40}] * 10},
        "status": {
            "phase": "Running",
            "podIP": f"10.{number // 250}.{number % 250}.{index + 1}",
            "conditions": conditions,
            "containerStatuses": [{"name": name, **running} for name in ("kserve-container", "transformer-container")],
        },
    }


if __name__ == "__main__":
    main()
