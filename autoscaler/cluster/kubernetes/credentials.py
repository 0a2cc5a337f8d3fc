"""Who we are to an API server: where it is, how it is reached, and how its client is made.

Everything is read by the official client, from the pod that we run in or from a kubeconfig file, as often as asked: a
token, a client certificate or a CA may have been replaced.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import cast
from weakref import WeakSet

import aiohttp
import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config

IN_CLUSTER = "in-cluster"

# What a peer that has gone without a word is noticed by, on a connection on which nothing has to be said.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
# Turns of the event loop in which whoever reads from a socket sees its end; two or three, as a rule.
_CLOSING_TURNS = 100
# The client's own functions have no types; these say what they are.
_in_cluster: Callable[[Configuration], None] = load_incluster_config
_from_file: Callable[..., Awaitable[object]] = load_kube_config


class ConnectionSettingsError(ValueError):
    """There is no usable way to an API server: says where it was looked for and what is wrong there."""


async def load_configuration(target: str, context: str | None = None) -> Configuration:
    """Of the cluster that we run in (`in-cluster`) or that a kubeconfig file names, in its own current context or this.

    Several files are joined by colons, as in $KUBECONFIG. Raises ConnectionSettingsError.
    """
    configuration = Configuration()
    _check_file(target)
    try:
        if target == IN_CLUSTER:
            _in_cluster(configuration)
        else:
            await _from_file(target, context=context, client_configuration=configuration, persist_config=False)
    except Exception as error:
        where = "in this pod" if target == IN_CLUSTER else f"in {target}"
        raise ConnectionSettingsError(f"no way to an API server {where}: {_said(error)}") from error
    # Python 3.13 asks of a CA what RFC 5280 asks and many clusters' own CAs do not have. Chain and name are verified.
    configuration.disable_strict_ssl_verification = True
    return configuration


def client_of(configuration: Configuration) -> ApiClient:
    """A client; `close_client` closes it."""
    client = ApiClient(configuration)
    client.rest_client = _RestClient(configuration)
    client.user_agent = "pilotlight"
    return client


async def close_client(client: ApiClient) -> None:
    """End all its connections, also those of requests that were given up.

    These say farewell in TLS and wait for the server's, of which the client knows nothing: a loop that ends first would
    leave them open.
    """
    closing: Callable[[], Awaitable[None]] = client.close
    await closing()
    if isinstance(client.rest_client, _RestClient):
        await client.rest_client.sockets_closed()


def _check_file(target: str) -> None:
    """The client says of a file that is not there that it lacks a key."""
    if target != IN_CLUSTER and not any(Path(file).is_file() for file in target.split(":")):
        raise ConnectionSettingsError(f"there is no kubeconfig file {target}")


def _said(error: Exception) -> str:
    """What is wrong, in words: what is no kubeconfig comes out of the client as what it trips over, or with the line in
    which it did, which may be somebody's token."""
    if isinstance(error, (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError, KeyError)):
        return "what is there is no kubeconfig: YAML with clusters, users, contexts and a current-context"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class _RestClient(RESTClientObject):
    """The client's own, with connections that notice when the other side is gone."""

    def __init__(self, configuration: Configuration) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        super().__init__(configuration)

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=0, ssl=self.ssl_context, socket_factory=self._socket)

    def _socket(self, address: tuple[object, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        made = socket.socket(cast(int, family), cast(int, kind), cast(int, protocol))
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
        self._sockets.add(made)
        return made

    async def sockets_closed(self) -> None:
        """Nothing comes or goes; returns when whoever uses the sockets has seen that, after turns of the loop."""
        for one in self._open():
            with suppress(OSError):  # the other side was faster
                one.shutdown(socket.SHUT_RDWR)
        for _ in range(_CLOSING_TURNS):
            if not self._open():
                return
            await asyncio.sleep(0)

    def _open(self) -> list[socket.socket]:
        return [one for one in tuple(self._sockets) if one.fileno() >= 0]
