"""The controller that leads in a cluster, asked through the API server as kubectl would ask it.

Its port is closed to most of the network, and whoever may look at pods may look at it: the API server's own proxy
checks that. Which pod leads is what the Lease says; when that pod does not answer as a leader, the Lease is read again.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qsl

from pilotlight.cluster_choice import ClusterChoice, needs_client, opened
from pilotlight.controller_api import Answer, printable
from pilotlight.errors import CommandError

if TYPE_CHECKING:
    from autoscaler.cluster.kubernetes.api_error import ApiError
    from autoscaler.cluster.kubernetes.connection import Connection, Requests

LEASE = "pilotlight-controller"
API_PORT = 7330
NOBODY_LEADS = "NobodyLeads"

_ASK_SECONDS = 2.0
_LEASE_SECONDS = 5.0
_TRIES = 5
_SILENCE_SECONDS = 30.0
_HEALTH = "/healthz"
_PAUSE_SECONDS = 0.5
# What a pod that is gone, is starting or does not lead is answered for by.
_ASK_AGAIN = frozenset({0, 404, 500, 502, 503, 504})


class ClusterController:
    """Use it as a context manager. Each call raises CommandError."""

    def __init__(self, chosen: ClusterChoice) -> None:
        self._chosen = chosen
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._connection: Connection | None = None
        self._leader = ""

    def __enter__(self) -> ClusterController:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    @property
    def place(self) -> str:
        """What to call it in messages."""
        return f"the controller in {self._chosen}"

    def get(self, path: str) -> Answer:
        """What the leader answers to this path of its API. Raises CommandError."""
        return self._runner.run(self._get(path))

    def save(self, path: str, file: BinaryIO) -> None:
        """Write what the leader answers to `path`, line by line. Raises CommandError."""
        self._runner.run(self._saved(path, file))

    async def _saved(self, path: str, file: BinaryIO) -> None:
        await self._get(_HEALTH)  # finds who leads, and has the words for it when nobody does
        connection = self._connection
        if connection is None or not self._leader:
            raise CommandError(f"{self.place} is not well; ask again in a moment")
        from autoscaler.cluster.kubernetes.api_error import ApiError

        path, _, query = path.partition("?")
        where = f"{proxied(self._chosen.namespace, self._leader)}{path}"
        try:
            async with connection.stream(where, dict(parse_qsl(query)), _SILENCE_SECONDS) as lines:
                async for line in lines:
                    file.write(line + b"\n")
        except ApiError as error:
            said = error.answer.get("error")
            raise CommandError(str(said) if said else self._described(error)) from error

    async def _get(self, path: str) -> Answer:
        with needs_client():
            from autoscaler.cluster.kubernetes.api_error import ApiError
            from autoscaler.cluster.kubernetes.credentials import ConnectionSettingsError
        try:
            if self._connection is None:
                self._connection = await self._stack.enter_async_context(opened(self._chosen))
            return await self._ask(self._connection, path)
        except ConnectionSettingsError as error:
            raise CommandError(str(error)) from error
        except ApiError as error:
            raise CommandError(self._described(error)) from error

    async def _ask(self, connection: Connection, path: str) -> Answer:
        from autoscaler.cluster.kubernetes.api_error import ApiError

        for left in reversed(range(_TRIES)):
            asked = ""
            try:
                asked = self._leader or await leader_of(connection, self._chosen.namespace)
                where = f"{proxied(self._chosen.namespace, asked)}{path}"
                body = await connection.request("GET", where, within=_ASK_SECONDS)
            except ApiError as error:
                self._leader = ""
                if "error" in error.answer and "leader" not in error.answer:
                    # The leader itself: it does not know what it was asked for.
                    return Answer(error.status, json.dumps(error.answer).encode())
                passes = error.status in _ASK_AGAIN if asked else error.reason == NOBODY_LEADS
                if not left or not passes:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self._leader = asked
                return Answer(200, json.dumps(body, ensure_ascii=False).encode())
        raise AssertionError("the last try returns or raises")

    def _described(self, error: ApiError) -> str:
        said = f"{self.place} cannot be asked: {printable(error.message)}"
        match error.status:
            case 403:
                return f"{said}; it takes the rights to get leases and pods/proxy in {self._chosen.namespace}"
            case 404:
                return f"{said}; is Pilotlight installed there? `pilotlight doctor` says what is missing"
            case _:
                return said


async def leader_of(requests: Requests, namespace: str) -> str:
    """The pod that the Lease names. Raises ApiError, also when it names nobody."""
    from autoscaler.cluster.kubernetes.api_error import ApiError
    from autoscaler.cluster.kubernetes.lease import lease_record

    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"
    holder = lease_record(await requests.request("GET", path, within=_LEASE_SECONDS)).holder
    if not holder:
        raise ApiError(0, NOBODY_LEADS, f"nobody leads: Lease {namespace}/{LEASE} names no holder")
    return pod_of(holder)


def pod_of(holder: str) -> str:
    """A holder is the pod's name and, behind an underscore, one process of it."""
    return holder.rpartition("_")[0] or holder


def proxied(namespace: str, pod: str) -> str:
    """The path at which the API server leads to a controller's API."""
    return f"/api/v1/namespaces/{namespace}/pods/{pod}:{API_PORT}/proxy"
