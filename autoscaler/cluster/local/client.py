"""LocalCluster: the controller's side of the agent's socket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from urllib.parse import quote

import aiohttp

from autoscaler.cluster.interface import ClusterError, GpuMetricsError, ServiceEvent, ServiceView
from autoscaler.cluster.local.gpu_use import parse_gpu_use
from autoscaler.cluster.local.view_codec import parse_views
from autoscaler.signals.gpu import PodGpus, by_pod

logger = logging.getLogger(__name__)

_RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
_ORDER_SECONDS = 5.0
_LONGEST_LINE = 64 * 1024 * 1024


class LocalCluster:
    """A Cluster behind the agent's unix socket. Use it as an asynchronous context manager, or `close` it.

    `watch` goes on through any number of broken connections and agent restarts, and ends when it is closed.
    """

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._http: aiohttp.ClientSession | None = None
        self._closed = asyncio.Event()
        self._lost: tuple[str, ...] = ()

    async def __aenter__(self) -> LocalCluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every watch and let go of the socket."""
        self._closed.set()
        if self._http is not None:
            await self._http.close()

    async def watch(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        """All services at once and after every change; see Cluster.watch."""
        failures = 0
        while not self._closed.is_set():
            try:
                async for views in self._watch_once():
                    failures, self._lost = 0, ()
                    yield views
            except (aiohttp.ClientError, OSError, ClusterError, ValueError) as error:
                self._lost = (f"lost the agent at {self._path}: {error}",)
                if failures == 0 and not self._closed.is_set():
                    logger.warning("%s", self._lost[0])
            await self._pause(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
            failures += 1

    async def scale(self, service: str, replicas: int, go_first: Sequence[str]) -> None:
        """See Cluster.scale. Raises ClusterError."""
        url = f"http://agent/services/{quote(service)}/scale"
        timeout = aiohttp.ClientTimeout(total=_ORDER_SECONDS)
        order = {"replicas": replicas, "go_first": list(go_first)}
        try:
            async with self._session().put(url, json=order, timeout=timeout) as answer:
                if answer.status != 200:
                    raise ClusterError(f"{service}: {replicas} replicas: {await _error(answer)}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(f"{service}: {replicas} replicas could not be ordered: {error!r}") from error

    def record_policy(self, service: str, policy: str) -> None:
        """See Cluster.record_policy. Nothing is kept: `up` reads manifests once, and takes none with a mistake."""

    async def put_activator(self, service: str, in_path: bool) -> None:
        """See Cluster.put_activator. Nothing to do: on one machine every connection goes through the activator."""

    def activator_heard(self, activator: str, *, speaks: bool) -> None:
        """See Cluster.activator_heard. Nothing to do: the sockets are the node's, whoever accepts from them."""

    async def pod_gpus(self, clock: Callable[[], float]) -> Mapping[str, PodGpus]:
        """See GpuSource: what NVML says of the devices that the agent dealt. Raises GpuMetricsError."""
        timeout = aiohttp.ClientTimeout(total=_ORDER_SECONDS)
        try:
            async with self._session().get("http://agent/gpus", timeout=timeout) as answer:
                if answer.status != 200:
                    raise GpuMetricsError(f"the agent's /gpus answered {answer.status}")
                body: object = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise GpuMetricsError(f"the agent could not be asked for GPUs: {type(error).__name__}") from error
        return by_pod(parse_gpu_use(body, clock()))

    @property
    def trouble(self) -> tuple[str, ...]:
        """See Cluster.trouble."""
        return self._lost

    def tell(self, service: str, event: ServiceEvent) -> None:
        """See Cluster.tell. Nothing to do: on one machine people look at `pilotlight status` and the logs."""

    async def _watch_once(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_ORDER_SECONDS)
        async with self._session().get("http://agent/watch", timeout=timeout) as answer:
            if answer.status != 200:
                raise ClusterError(f"/watch answered {answer.status}")
            line = bytearray()
            async for chunk in answer.content.iter_any():
                *whole, rest = chunk.split(b"\n")
                for part in whole:
                    yield parse_views(json.loads(bytes(line) + part))
                    line.clear()
                line += rest
                if len(line) > _LONGEST_LINE:
                    raise ClusterError("a line of /watch does not end")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=self._path, limit=0))
        return self._http

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            pass


async def _error(answer: aiohttp.ClientResponse) -> str:
    try:
        body = await answer.json()
        return str(body["error"])
    except (aiohttp.ClientError, ValueError, KeyError, TypeError):
        return f"status {answer.status}"
