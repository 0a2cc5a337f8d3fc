"""The connection to the API server: one place for credentials, retries and patience.

The official client knows how to find the server and how to prove who we are; of its calls only the one that hands out
an answer as it came is used, because objects are reduced to a few facts and building a model of each would cost more
memory and time than all the rest of the controller.

Credentials change while we run: the client reads a projected token again every minute, and when the server says 401 or
its certificate does not verify, everything is loaded anew, so a rotated CA or client certificate needs no restart.

A server that is busy says so with 429 and Retry-After, and is obeyed. Everything else that may pass is tried again with
growing pauses of random length, so that many clients of a server that comes back do not come back at the same moment.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from autoscaler.cluster.kubernetes.api_error import ApiError, refusal
from autoscaler.cluster.kubernetes.credentials import (
    ConnectionSettingsError,
    client_of,
    close_client,
    load_configuration,
)
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner
from autoscaler.cluster.kubernetes.whole_lines import whole_lines

MERGE_PATCH = "application/merge-patch+json"

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_CONNECT_SECONDS = 5.0
# A watch begins with a head at once; who waits for one longer may be at a door behind which nobody is any more.
_HEAD_SECONDS = 15.0
_PASSING = frozenset({429, 500, 502, 503, 504})


Loader = Callable[[], Awaitable[Configuration]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API server. `path` begins with `/api`; `body` is sent as JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    body: JsonObject | None = None
    content_type: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Requests(Protocol):
    """Whatever takes calls to the API server."""

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
        """See Connection.request."""
        ...


class Connection:
    """Calls to one API server. Close it; `open_connection` does."""

    def __init__(self, load: Loader, uniform: Callable[[], float] = random.random) -> None:
        """`load` gives the configuration, again each time the credentials turn out to be old."""
        self._load = load
        self._uniform = uniform
        self._client: ApiClient | None = None
        self._loading = asyncio.Lock()
        self.calls = 0

    async def close(self) -> None:
        """End all connections."""
        client, self._client = self._client, None
        if client is not None:
            await close_client(client)

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
        """The answer to one call, tried again until `within` seconds have passed.

        A POST is tried again only where it cannot have been carried out. Raises ApiError.
        """
        call = Call(method, path, query or {}, body, content_type)
        clock = asyncio.get_running_loop().time
        deadline = clock() + within
        tries = 0
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._answer(call)
            except TimeoutError as error:
                raise ApiError(0, "Timeout", f"{call}: no answer within {within:g} s") from error
            except ApiError as error:
                pause = self._pause(call, error, tries)
                if pause is None or clock() + pause >= deadline:
                    raise
            tries += 1
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], idle: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an answer that goes on. Raises ApiError, also when nothing comes for `idle` seconds."""
        call = Call("GET", path, query)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=idle)
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                response = await self._send(call, timeout)
        except TimeoutError as error:
            raise ApiError(0, "Timeout", f"{call}: no answer within {_HEAD_SECONDS:g} s") from error
        try:
            yield _lines(call, response)
        finally:
            _end(response)

    async def _answer(self, call: Call) -> JsonObject:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        response = await self._send(call, timeout)
        try:
            data = await response.read()
            body: object = json.loads(data) if data else {}
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(0, "", f"{call}: the answer broke off: {_described(error)}") from error
        except (ValueError, RecursionError) as error:
            raise ApiError(response.status, "", f"{call}: the answer is not JSON: {error}") from error
        finally:
            response.release()
        return inner(body)

    async def _send(self, call: Call, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """The answer's head. Raises ApiError for every status but success."""
        for fresh in (False, True):
            try:
                response = await self._try(call, timeout, fresh=fresh)
            except aiohttp.ClientConnectorCertificateError as error:
                if not fresh:
                    continue  # the CA may have been rotated
                raise ApiError(0, "", f"{call}: {error}", sent=False) from error
            except aiohttp.ClientConnectorError as error:
                raise ApiError(0, "", f"{call}: {error}", sent=False) from error
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise ApiError(0, "", f"{call}: {_described(error)}") from error
            if response.status == 401 and not fresh:
                response.release()
                continue  # the token may have been rotated
            if not 200 <= response.status < 300:
                raise await refusal(str(call), response)
            return response
        raise AssertionError("the second try returns or raises")

    async def _try(self, call: Call, timeout: aiohttp.ClientTimeout, *, fresh: bool) -> aiohttp.ClientResponse:
        try:
            client = await self._ready_client(fresh=fresh)
        except ConnectionSettingsError as error:
            raise ApiError(0, "", f"{call}: {error}", sent=False) from error
        self.calls += 1
        prepared = await client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query.items()),
            header_params={"Accept": "application/json", "Content-Type": call.content_type},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        answer = await client.call_api(*prepared, _request_timeout=timeout)
        return cast(aiohttp.ClientResponse, answer.response)

    async def _ready_client(self, *, fresh: bool) -> ApiClient:
        """The client; a new one, with credentials read anew, when `fresh`."""
        before = self._client
        async with self._loading:
            if self._client is None or (fresh and self._client is before):
                configuration = await self._load()
                old, self._client = self._client, client_of(configuration)
                if old is not None:
                    await close_client(old)
            return self._client

    def _pause(self, call: Call, error: ApiError, tries: int) -> float | None:
        """Seconds until the next try; None when there is to be none."""
        if error.status == 0:
            again = call.method != "POST" or not error.sent
        else:
            again = error.status == 429 or (error.status in _PASSING and call.method != "POST")
        if not again:
            return None
        grown = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**tries)
        pause = grown * (0.5 + 0.5 * self._uniform())
        return pause + (error.retry_after or 0.0)


@asynccontextmanager
async def open_connection(target: str, context: str | None = None) -> AsyncIterator[Connection]:
    """A connection to the cluster we run in (`in-cluster`) or that a kubeconfig file names (see load_configuration).

    Raises ConnectionSettingsError when there is none to be had from there.
    """

    async def load() -> Configuration:
        return await load_configuration(target, context)

    await load()  # a wrong path must end the start, not be tried again for ever
    connection = Connection(load)
    try:
        yield connection
    finally:
        await connection.close()


def _end(response: aiohttp.ClientResponse) -> None:
    """End a stream in the middle, at once: a farewell in TLS would wait for a peer that goes on talking."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    response.close()
    if transport is not None:
        transport.abort()


def _described(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _lines(call: Call, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for line in whole_lines(response.content.iter_any()):
            yield line
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ApiError(0, "", f"{call}: the stream broke off: {_described(error)}") from error
