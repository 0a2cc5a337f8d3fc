"""The little of the Kubernetes API that the stand-in uses, over aiohttp: requests that are JSON, and a watch."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import yaml

from tests.kubernetes.kserve.pod_spec import Json, mapping, sequence


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str) -> None:
        """`status` is HTTP's; `message` the API server's."""
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """An API server, spoken to as the kubeconfig's current user; reads tokens and CA files, no client certificates."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read the kubeconfig; sessions are made when entered."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        data = cluster.get("certificate-authority-data")
        tls = ssl.create_default_context(
            cafile=cluster.get("certificate-authority"), cadata=base64.b64decode(data).decode() if data else None
        )
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # an API server's self-made certificate has no key identifiers
        self._server = cluster["server"]
        self._tls = tls
        self._headers = {"Authorization": f"Bearer {user['token']}"}

    async def __aenter__(self) -> Api:
        """Open a session."""
        self._session = aiohttp.ClientSession(
            self._server, headers=self._headers, connector=aiohttp.TCPConnector(ssl=self._tls, limit=0)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._session.close()

    async def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Json:
        """One request; answers the object. Raises ApiError."""
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, path, data=data, headers={"Content-Type": kind}) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise ApiError(answer.status, text[:500])
            return mapping(json.loads(text))

    async def get(self, path: str) -> Json | None:
        """The object there, None when there is none. Raises ApiError."""
        try:
            return await self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def follow(self, path: str, selector: str = "") -> AsyncIterator[tuple[str, Json]]:
        """Every object of a collection, then every change, for ever: (event type, object).

        Lists again whenever the watch breaks, and then says `SYNC` with the whole list first.
        """
        query = f"labelSelector={selector}&" if selector else ""
        while True:
            try:
                listed = await self.call("GET", f"{path}?{query}")
                yield "SYNC", listed
                version = mapping(listed["metadata"])["resourceVersion"]
                watch = f"{path}?{query}watch=true&allowWatchBookmarks=true&resourceVersion={version}"
                timeout = aiohttp.ClientTimeout(total=None)
                async with self._session.get(watch, timeout=timeout, read_bufsize=2**22) as answer:
                    if answer.status >= 300:
                        raise ApiError(answer.status, await answer.text())
                    async for line in answer.content:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        if event["type"] != "BOOKMARK":
                            yield event["type"], mapping(event["object"])
            except (aiohttp.ClientError, ApiError, OSError, ValueError):
                await asyncio.sleep(0.2)


def items(listed: Json) -> list[Json]:
    """The objects of a list."""
    return [mapping(item) for item in sequence(listed.get("items"))]
