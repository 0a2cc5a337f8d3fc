"""What the webhook reads and writes in the cluster; the one module here that talks to the API server.

It reads its Secret, the two webhook configurations, runtimes, and the profiles, and writes the first three's
certificates. Everything is asked for by name or when a review needs it, so at rest there is next to no traffic.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from admission.webhooks import Surroundings
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import MERGE_PATCH, Connection
from autoscaler.cluster.kubernetes.json_object import inner
from autoscaler.policy.profiles import CONFIG_MAP, Profiles, read_profiles

_log = logging.getLogger(__name__)

_KSERVE = "/apis/serving.kserve.io/v1alpha1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
# A review is answered within seconds or not at all.
_WITHIN = 1.5
_FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SecretContent:
    """A Secret's entries, and the version to write against."""

    data: Mapping[str, bytes]
    version: str


class WebhookCluster:
    """The API server as the webhook needs it. `namespace` is ours, `name` that of Secret and configurations."""

    def __init__(self, connection: Connection, namespace: str, name: str, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._kept: dict[str, tuple[float, Sequence[Mapping[str, object]]]] = {}
        self._profiles: tuple[float, Profiles | None] = (-_FRESH_SECONDS, None)

    async def own_image(self, pod: str) -> str:
        """The image that our own pod runs. Raises ApiError; "" when the pod says none."""
        body = await self._connection.request("GET", f"/api/v1/namespaces/{self._namespace}/pods/{pod}", within=30.0)
        containers = _list(inner(body, "spec").get("containers"))
        return str(containers[0].get("image", "")) if containers else ""

    async def read_secret(self) -> SecretContent:
        """Our Secret. Raises ApiError, also when it does not exist: creating it is for whoever installs us."""
        secret = await self._connection.request("GET", self._secret)
        return SecretContent(_decoded(secret.get("data")), _version(secret))

    async def write_secret(self, data: Mapping[str, bytes], version: str) -> bool:
        """Write the entries unless somebody else has written since; False says that somebody has. Raises ApiError."""
        body = {
            "metadata": {"resourceVersion": version},
            "data": {entry: base64.b64encode(value).decode() for entry, value in data.items()},
        }
        try:
            await self._connection.request("PATCH", self._secret, body=body, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def tell_authorities(self, bundle: bytes) -> None:
        """Let the API server verify us by `bundle`, in both configurations. Raises ApiError."""
        text = base64.b64encode(bundle).decode()
        for plural in CONFIGURATIONS:
            path = f"{_ADMISSION}/{plural}/{self._name}"
            found = await self._connection.request("GET", path)
            webhooks = [_verified_by(text, webhook) for webhook in _list(found.get("webhooks"))]
            if webhooks != found.get("webhooks"):
                # A list is replaced as a whole, so it must still be the one that was read.
                body = {"metadata": {"resourceVersion": _version(found)}, "webhooks": webhooks}
                await self._connection.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def surroundings(self, namespace: str, *, runtimes: bool) -> Surroundings:
        """What a review of an object in `namespace` needs; what cannot be read is what was last read, or missing."""
        found: list[Mapping[str, object]] = []
        if runtimes:
            found += await self._listed(f"{_KSERVE}/namespaces/{namespace}/servingruntimes", "ServingRuntime")
            found += await self._listed(f"{_KSERVE}/clusterservingruntimes", "ClusterServingRuntime")
        return Surroundings(found, await self._read_profiles())

    async def _listed(self, path: str, kind: str) -> Sequence[Mapping[str, object]]:
        read_at, kept = self._kept.get(path, (-_FRESH_SECONDS, ()))
        if self._clock() - read_at < _FRESH_SECONDS:
            return kept
        answer = await self._tried(lambda: self._connection.request("GET", path, within=_WITHIN))
        if answer is None:
            return kept
        # Items of a list do not name their kind.
        kept = [{**item, "kind": kind} for item in _list(answer.get("items"))]
        if len(self._kept) > 1000:  # one entry for each namespace that somebody names
            self._kept.clear()
        self._kept[path] = (self._clock(), kept)
        return kept

    async def _read_profiles(self) -> Profiles | None:
        read_at, profiles = self._profiles
        if self._clock() - read_at < _FRESH_SECONDS:
            return profiles
        path = f"/api/v1/namespaces/{self._namespace}/configmaps/{CONFIG_MAP}"
        answer = await self._tried(lambda: self._connection.request("GET", path, within=_WITHIN))
        if answer is not None:
            profiles = read_profiles(answer)
            self._profiles = (self._clock(), profiles)
        return profiles

    async def _tried(self, call: Callable[[], Awaitable[Mapping[str, object]]]) -> Mapping[str, object] | None:
        """The answer; an empty one for what does not exist, None when there is no answer."""
        try:
            return await call()
        except ApiError as error:
            if error.status == 404:
                return {}
            _log.warning("%s", error)
            return None

    @property
    def _secret(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/secrets/{self._name}"


def _verified_by(bundle: str, webhook: Mapping[str, object]) -> Mapping[str, object]:
    client = webhook.get("clientConfig")
    return {**webhook, "clientConfig": {**(client if isinstance(client, Mapping) else {}), "caBundle": bundle}}


def _decoded(data: object) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    for name, value in data.items() if isinstance(data, Mapping) else ():
        try:
            entries[str(name)] = base64.b64decode(str(value), validate=True)
        except (binascii.Error, ValueError):
            continue  # not one of ours
    return entries


def _version(body: Mapping[str, object]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("resourceVersion", "")) if isinstance(metadata, Mapping) else ""


def _list(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
