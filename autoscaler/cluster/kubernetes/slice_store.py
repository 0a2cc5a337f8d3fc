"""Slices and activators as the API server has them: followed by watches, written one at a time.

A write names the version that it replaces. So what is written on old knowledge is refused by the API server, also when
it comes from a controller that led until a moment ago and does not know yet that it leads no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from autoscaler.cluster.kubernetes.activator_liveness import ActivatorLiveness
from autoscaler.cluster.kubernetes.activator_pods import ActivatorPod, Activators, activator_pod_of, activators_of
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Connection, Requests
from autoscaler.cluster.kubernetes.reflector import Reflector, Resource
from autoscaler.cluster.kubernetes.slices import MANAGED_BY, MANAGED_BY_LABEL, SliceFacts, Wanted, slice_of

_SLICES = "/apis/discovery.k8s.io/v1"
_WRITE_SECONDS = 3.0
# An activator that was told to end takes connections for this long at most (its --longest-notice-seconds), as long as
# some come.
_STILL_OPEN_SECONDS = 15.0
# One that dials again at once is no reason to write the slices of all services.
_SILENT_AFTER_SECONDS = 1.0
_ACTIVATORS = "app.kubernetes.io/name=pilotlight-activator"
_CONFLICT = 409
_NOT_FOUND = 404


class Store(Protocol):
    """Slices, and activators: what a SliceStore is to others."""

    synced: asyncio.Event
    slice_changed: Callable[[SliceFacts | None, SliceFacts | None], None]
    activators_changed: Callable[[Activators], None]

    async def run(self) -> None:
        """Follow what is there, for ever."""
        ...

    def activator_heard(self, name: str, *, speaks: bool) -> None:
        """An activator is connected to the controller, or its connection has ended without a word."""
        ...

    def listen_anew(self) -> None:
        """Nobody has been heard yet, and who is named by no slice need not be there."""
        ...

    async def write(self, namespace: str, wanted: Wanted, replaces: SliceFacts | None) -> SliceFacts | None:
        """Create, or replace that version; what is there afterwards. Raises ApiError."""
        ...

    async def delete(self, namespace: str, facts: SliceFacts) -> None:
        """Delete that version. Raises ApiError."""
        ...


class SliceStore:
    """`slice_changed(before, after)` and `activators_changed` are told what is new; `synced` once both lists are in."""

    def __init__(
        self,
        reads: Connection,
        writes: Requests,
        namespace: str,
        still_open: float = _STILL_OPEN_SECONDS,
        silent_after: float = _SILENT_AFTER_SECONDS,
    ) -> None:
        """`namespace` is our own, where activators are. `still_open`, `silent_after`: see ActivatorLiveness."""
        self.slice_changed: Callable[[SliceFacts | None, SliceFacts | None], None] = lambda before, after: None
        self.activators_changed: Callable[[Activators], None] = lambda activators: None
        self.synced = asyncio.Event()
        self._writes = writes
        self._slices: Reflector[SliceFacts] = Reflector(
            reads,
            Resource(f"{_SLICES}/endpointslices", label_selector=f"{MANAGED_BY_LABEL}={MANAGED_BY}"),
            slice_of,
            lambda _, before, after: self.slice_changed(before, after),
        )
        self._pods: Reflector[ActivatorPod] = Reflector(
            reads,
            Resource(f"/api/v1/namespaces/{namespace}/pods", label_selector=_ACTIVATORS),
            activator_pod_of,
            lambda _, before, after: self._pod_changed(before, after),
        )
        self._liveness = ActivatorLiveness(self._pods_changed, still_open, silent_after)

    async def run(self) -> None:
        """Follow both, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._slices.run())
            group.create_task(self._pods.run())
            await self._slices.synced.wait()
            await self._pods.synced.wait()
            self._pods_changed()
            self.synced.set()

    def _pod_changed(self, before: ActivatorPod | None, after: ActivatorPod | None) -> None:
        self._liveness.pod_changed(before, after)
        self._pods_changed()

    def activator_heard(self, name: str, *, speaks: bool) -> None:
        """See Store."""
        self._liveness.heard(name, speaks=speaks)

    def listen_anew(self) -> None:
        """See Store."""
        pods, slices = self._pods.facts.values(), self._slices.facts.values()
        named = {one.address for facts in slices for one in (*facts.endpoints, *facts.fallback)}
        unnamed = [pod.name for pod in pods if named and not named.intersection(pod.addresses)]
        self._liveness.listen_anew([pod.name for pod in pods], unnamed)
        self._pods_changed()

    def _pods_changed(self) -> None:
        # While a first list is taken in, half of them would look like all of them.
        if self._pods.synced.is_set():
            self.activators_changed(
                activators_of(self._pods.facts.values(), self._liveness.still_open, self._liveness.silent)
            )

    async def write(self, namespace: str, wanted: Wanted, replaces: SliceFacts | None) -> SliceFacts | None:
        """Create the slice, or replace that version of it. Returns what is there afterwards, which is not what was
        wanted when somebody else was first; None when there is none. Raises ApiError."""
        collection = f"{_SLICES}/namespaces/{namespace}/endpointslices"
        try:
            if replaces is None:
                stored = await self._writes.request("POST", collection, body=wanted.body(), within=_WRITE_SECONDS)
            else:
                path = f"{collection}/{wanted.name}"
                body = wanted.body(replaces.version)
                stored = await self._writes.request("PUT", path, body=body, within=_WRITE_SECONDS)
        except ApiError as error:
            if error.status == _NOT_FOUND and replaces is not None:
                return None
            if error.status != _CONFLICT:
                raise
            return await self._read(f"{collection}/{wanted.name}")
        return slice_of(stored)

    async def delete(self, namespace: str, facts: SliceFacts) -> None:
        """Delete that version of a slice; one that is gone is gone. Raises ApiError."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": facts.version},
        }
        path = f"{_SLICES}/namespaces/{namespace}/endpointslices/{facts.name}"
        try:
            await self._writes.request("DELETE", path, body=body, within=_WRITE_SECONDS)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    async def _read(self, path: str) -> SliceFacts | None:
        try:
            found = await self._writes.request("GET", path, within=_WRITE_SECONDS)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        facts = slice_of(found)
        if facts is None:
            raise ApiError(_CONFLICT, "AlreadyExists", f"{path} exists and is not ours; delete or rename it")
        return facts
