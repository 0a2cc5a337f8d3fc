"""How the activator answers what is not work: probes and scrapes. They never wake a service, wait, or are counted.

A load balancer, a kubelet, a mesh and a monitoring system all look at a service every few seconds. If that counted as
use, no model would ever go to sleep; if it were refused while a model sleeps, the load balancer would take the service
out and nobody could wake it any more. So the activator answers for the service: it is there, and takes requests.

What a request is for is decided by the queue proxy's own rule, so that the two cannot disagree.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from urllib.parse import unquote

from queue_proxy.http import Answer, RequestHead
from queue_proxy.probe_requests import Purpose, purpose

_MODEL_READY = re.compile(rb"/v2/models/([^/]+)/ready")
_JSON = ((b"content-type", b"application/json"),)
_EXPOSITION = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)


class Kind(Enum):
    """What a request is to the activator.

    WORK   everything that is not one of the others
    PROBE  asks whether the service is there: the activator answers
    LOOK   asks the model for its metrics, or whether it knows a model: forwarded while something is ready, and
           answered here while nothing is
    """

    WORK = "work"
    PROBE = "probe"
    LOOK = "look"


def kind_of(head: RequestHead) -> Kind:
    """Tell work from probes and looks."""
    match purpose(head):
        case Purpose.WORK:
            return Kind.WORK
        case Purpose.PROBE:
            return Kind.PROBE
        case Purpose.SCRAPE:
            path = _path(head)
            if path == b"/metrics" or _MODEL_READY.fullmatch(path) or not _is_health(path):
                return Kind.LOOK
            return Kind.PROBE


def answer_here(head: RequestHead, service: str) -> Answer:
    """200, in the shape of the path's protocol. An exposition without a series is a valid one: nothing is wrong with a
    model that sleeps, so a scrape of it must not fail."""
    path = _path(head)
    if match := _MODEL_READY.fullmatch(path):
        body: dict[str, object] = {"name": unquote(match[1].decode("latin-1")), "ready": True}
    elif path == b"/v2/health/live":
        body = {"live": True}
    elif path == b"/v2/health/ready":
        body = {"ready": True}
    elif _is_health(path) or purpose(head) is Purpose.PROBE:
        body = {"service": service, "status": "ok"}
    else:
        return Answer(200, _EXPOSITION, f"# {service} has no ready replica, so it has no metrics now\n".encode())
    return Answer(200, _JSON, json.dumps(body).encode())


def _is_health(path: bytes) -> bool:
    return path.startswith((b"/health", b"/livez", b"/readyz", b"/ping", b"/v2/health/"))


def _path(head: RequestHead) -> bytes:
    return head.target.partition(b"?")[0]
