"""What both APIs share: reading a JSON body, and the headers that say who answered and how long that took to begin."""

from __future__ import annotations

import json
import os
import socket

from aiohttp import web

from pilotlight.example_server.engine import Engine

ENGINE = web.AppKey("engine", Engine)
# The replica's name: `pilotlight up` gives it to its processes, Kubernetes as the host's name.
_REPLICA = os.environ.get("PILOTLIGHT_REPLICA", "").rpartition("/")[2] or f"{socket.gethostname()}-{os.getpid()}"
EXAMPLE = "an example server: it pretends to be a model"


class BadRequestError(ValueError):
    """The client's request is wrong: the message says what and what is allowed."""


async def read_object(request: web.Request) -> dict[str, object]:
    """The JSON object in the request's body. Raises BadRequestError."""
    raw = await request.read()
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequestError(f"the body must be a JSON object, not {type(body).__name__}")
    return body


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def whoami(engine: Engine) -> dict[str, str]:
    """Headers of every inference answer.

    `Example-Ready-To-Request-Seconds` is the time from this process's first successful readiness answer to its first
    request: what everything in front of the model added to a wake, measured where it ends.
    """
    headers = {"Example-Server": EXAMPLE, "Example-Replica": _REPLICA}
    counts = engine.counts
    if counts.first_ready_answer is not None and counts.first_request is not None:
        added = counts.first_request - counts.first_ready_answer
        headers["Example-Ready-To-Request-Seconds"] = f"{added:.6f}"
    return headers
