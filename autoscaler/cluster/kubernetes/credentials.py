"""Who we are to an API server: where it is, how it is reached, and how its client is made.

Everything is read by the official client, from the pod that we run in or from a kubeconfig file, as often as asked: a
token, a client certificate or a CA may have been replaced.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import aiohttp
import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config

IN_CLUSTER = "in-cluster"

# What a peer that has gone without a word is noticed by, on a connection on which nothing has to be said.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
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
    """End all its connections."""
    closing: Callable[[], Awaitable[None]] = client.close
    await closing()
    await asyncio.sleep(0)  # one that was being made as we were told to end ends with the loop's next turn


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

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=0, ssl=self.ssl_context, socket_factory=_socket)


def _socket(address: tuple[object, ...]) -> socket.socket:
    family, kind, protocol = address[:3]
    made = socket.socket(cast(int, family), cast(int, kind), cast(int, protocol))
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
