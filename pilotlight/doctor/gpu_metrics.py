"""Whether Prometheus answers, and has series of GPUs.

A controller in a cluster is told an address of the cluster, which means nothing to whoever runs the doctor elsewhere.
Such an address is asked through the API server's proxy for Services, so the answer is what the cluster's inside sees.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Requests
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, objects, text, texts
from autoscaler.signals.gpu_series import SERIES
from pilotlight.doctor.look import Absent, Failed, Got, Looked, answered

_FLAG = "--prometheus"
_WITHIN = 10.0
_SECONDS = 10
_LARGEST = 8 * 1024 * 1024
_IN_CLUSTER = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)(\.svc(\.[a-z0-9.-]+)?)?")


@dataclass(frozen=True, slots=True)
class GpuMetrics:
    """What was asked, and what came. `url` empty: nobody was told of a Prometheus."""

    url: str
    looked: Looked
    names: tuple[str, ...] = ()


def told_to(deployments: Iterable[JsonObject]) -> str:
    """The URL that the controller's arguments name; empty when they name none."""
    for deployment in deployments:
        for container in objects(inner(deployment, "spec", "template", "spec"), "containers"):
            arguments = texts(container, "args")
            for index, argument in enumerate(arguments):
                flag, _, value = argument.partition("=")
                if flag == _FLAG:
                    return value or next(iter(arguments[index + 1 : index + 2]), "")
    return ""


def question() -> str:
    """PromQL: how many series there are of each GPU metric that we can read, in whatever prefix."""
    names = "|".join(sorted(row.name for row in SERIES))
    return f'count by (__name__) ({{__name__=~"(.+_)?({names})"}})'


async def ask(requests: Requests, url: str) -> GpuMetrics:
    """Ask it. Raises nothing."""
    if not url:
        return GpuMetrics("", Absent())
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        return GpuMetrics(url, Failed(str(error)))
    query = {"query": question()}
    path = f"{parts.path.rstrip('/')}/api/v1/query"
    inside = _IN_CLUSTER.fullmatch(parts.hostname or "")
    if inside is not None:
        scheme = "https:" if parts.scheme == "https" else ""
        service = f"{scheme}{inside['name']}:{port or (443 if scheme else 80)}"
        proxy = f"/api/v1/namespaces/{inside['namespace']}/services/{service}/proxy{path}"
        try:
            return _read(url, await requests.request("GET", proxy, query=query, within=_WITHIN))
        except ApiError as error:
            return GpuMetrics(url, answered(error))
    whole = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode(query)}"
    return await asyncio.to_thread(_ask_directly, url, whole)


def _ask_directly(url: str, whole: str) -> GpuMetrics:
    if not whole.startswith(("http://", "https://")):
        return GpuMetrics(url, Failed(f"{url} is not http:// or https://"))
    try:
        with urllib.request.urlopen(whole, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme was looked at
            body: object = json.loads(answer.read(_LARGEST))
    except (OSError, ValueError) as error:
        return GpuMetrics(url, Failed(str(error)))
    return _read(url, body if isinstance(body, dict) else {})


def _read(url: str, body: JsonObject) -> GpuMetrics:
    if text(body, "status") != "success":
        return GpuMetrics(url, Failed("it does not answer as Prometheus does"))
    found = {text(inner(row, "metric"), "__name__") for row in objects(inner(body, "data"), "result")}
    return GpuMetrics(url, Got(body), tuple(sorted(found - {""})))
