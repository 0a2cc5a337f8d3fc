"""Which requests are not work: probes and scrapes. They never wake a service, never wait, and are never counted.

A load balancer, a kubelet, a mesh and a monitoring system all look at a service every few seconds. If that counted as
use, no model would ever go to sleep; if it were refused while a model sleeps, the load balancer would take the service
out and nobody could wake it any more. So the activator answers for the service: it is there, and takes requests.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from urllib.parse import unquote

from queue_proxy.http import Answer, RequestHead

PROBE_HEADER = b"pilotlight-probe"

_HEALTH_PATHS = frozenset({b"/healthz", b"/health", b"/livez", b"/readyz", b"/v2/health/live", b"/v2/health/ready"})
_MODEL_READY = re.compile(rb"/v2/models/([^/]+)(?:/versions/[^/]+)?/ready\Z")
_METRICS_PATH = b"/metrics"
_READING = (b"GET", b"HEAD")
_JSON = ((b"content-type", b"application/json"),)


class Kind(Enum):
    """What a request is to the activator.

    WORK    everything that is not one of the others
    PROBE   asks whether the service is there: the activator answers
    SCRAPE  asks for the model's metrics: forwarded while something is ready, else answered with none
    """

    WORK = "work"
    PROBE = "probe"
    SCRAPE = "scrape"


def kind_of(head: RequestHead) -> Kind:
    """Tell work from probes and scrapes, by the method, the path and the two headers that probes carry."""
    if head.method in _READING:
        path = _path(head.target)
        if path == _METRICS_PATH:
            return Kind.SCRAPE
        if path in _HEALTH_PATHS or (path.startswith(b"/v2/models/") and _MODEL_READY.match(path)):
            return Kind.PROBE
    agent = head.value(b"user-agent")
    if agent is not None and agent.startswith(b"kube-probe/"):
        return Kind.PROBE
    return Kind.WORK if head.value(PROBE_HEADER) is None else Kind.PROBE


def probe_answer(head: RequestHead, service: str) -> Answer:
    """200 in the shape that the path's protocol expects (Open Inference Protocol where it is one of its paths)."""
    path = _path(head.target)
    body: dict[str, object] = {"service": service, "status": "ok"}
    if path == b"/v2/health/live":
        body = {"live": True}
    elif path == b"/v2/health/ready":
        body = {"ready": True}
    elif match := _MODEL_READY.match(path):
        body = {"name": unquote(match[1].decode("latin-1")), "ready": True}
    return Answer(200, _JSON, json.dumps(body).encode())


def empty_scrape_answer(service: str) -> Answer:
    """A valid exposition without a series: nothing is wrong with a model that sleeps, so the scrape must not fail."""
    text = f"# {service} has no ready replica; its metrics are there when it serves\n"
    return Answer(200, ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),), text.encode())


def _path(target: bytes) -> bytes:
    return target.split(b"?", 1)[0]
