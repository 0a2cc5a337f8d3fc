"""Where the leader is: the EndpointSlice of the Service that activators and people reach the controller by.

That Service has no selector, so nothing of Kubernetes' own writes slices for it. Whoever leads writes one that names it
alone; who stood by a moment ago and leads now just writes it anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Requests
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, objects, text, texts
from autoscaler.cluster.kubernetes.slices import MANAGED_BY_LABEL, SERVICE_LABEL, Endpoint, slice_body

_log = logging.getLogger(__name__)

MANAGED_BY_LEADER = "leader.pilotlight.dev"

_AGAIN_SECONDS = 0.5
_LOOK_SECONDS = 15.0
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the slice shall say: the Service `namespace/service` is at `address`; `ports` by the Service's own names."""

    namespace: str
    service: str
    address: str
    ports: Mapping[str, int]

    @property
    def family(self) -> str:
        """Of the address. A slice cannot change it, so each family has a slice of its own."""
        return "IPv6" if ":" in self.address else "IPv4"

    @property
    def name(self) -> str:
        """The slice's."""
        return f"{self.service}-leader" if self.family == "IPv4" else f"{self.service}-leader-ipv6"

    def body(self, version: str) -> JsonObject:
        """The object; with `version`, one that replaces just that version."""
        metadata = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {SERVICE_LABEL: self.service, MANAGED_BY_LABEL: MANAGED_BY_LEADER},
        }
        ports = [{"name": name, "port": port, "protocol": "TCP"} for name, port in self.ports.items()]
        return slice_body(metadata, version, self.family, ports, [Endpoint(self.address)])

    def said_by(self, item: JsonObject) -> bool:
        """Whether a slice need not be written."""
        labels = inner(item, "metadata", "labels")
        return (
            (text(labels, SERVICE_LABEL), text(labels, MANAGED_BY_LABEL)) == (self.service, MANAGED_BY_LEADER)
            and {text(port, "name"): port.get("port") for port in objects(item, "ports")} == dict(self.ports)
            and [texts(endpoint, "addresses") for endpoint in objects(item, "endpoints")] == [(self.address,)]
        )


async def announce(requests: Requests, announcement: Announcement) -> None:
    """Make the slice say so, and see to it that it stays so, until cancelled."""
    said = ""
    while True:
        try:
            await _make_so(requests, announcement)
            said = ""
        except ApiError as error:
            if error.message != said:
                _log.warning("where the leader is cannot be told: %s", error.message)
            said = error.message
        await asyncio.sleep(_AGAIN_SECONDS if said else _LOOK_SECONDS)


async def _make_so(requests: Requests, announcement: Announcement) -> None:
    collection = f"/apis/discovery.k8s.io/v1/namespaces/{announcement.namespace}/endpointslices"
    path = f"{collection}/{announcement.name}"
    try:
        there = await requests.request("GET", path, within=2.0)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        await requests.request("POST", collection, body=announcement.body(""), within=2.0)
        return
    if not announcement.said_by(there):
        version = text(inner(there, "metadata"), "resourceVersion")
        await requests.request("PUT", path, body=announcement.body(version), within=2.0)
