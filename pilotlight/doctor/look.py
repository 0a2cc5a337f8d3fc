"""Looking: one question to the API server, and every way in which it can be answered.

Whoever runs the doctor may lack rights, and a cluster may lack kinds. Neither ends the examination: what is not known
is passed on as such, and nothing is concluded from it but that it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Requests
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, objects, text

_WITHIN = 10.0
_PAGE = "500"
_ABSENT = (404, 410)
_DENIED = (401, 403)


@dataclass(frozen=True, slots=True)
class Got:
    """The object, or all items of a list in `items`."""

    body: JsonObject
    items: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such object, or no such kind."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Whoever runs the doctor may not look at it; `why` in the API server's words."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be told; `status` of HTTP, 0 when there was no answer."""

    why: str
    status: int = 0


Looked = Got | Absent | Denied | Failed


async def look(
    requests: Requests, path: str, query: Mapping[str, str] | None = None, *, within: float = _WITHIN
) -> Looked:
    """One object. Raises nothing."""
    try:
        return Got(await requests.request("GET", path, query=query, within=within))
    except ApiError as error:
        return answered(error)


async def look_at_all(requests: Requests, path: str, selector: str = "") -> Looked:
    """All objects of a list, in pages. Raises nothing."""
    query = {"limit": _PAGE, **({"labelSelector": selector} if selector else {})}
    items: list[JsonObject] = []
    try:
        while True:
            page = await requests.request("GET", path, query=query, within=_WITHIN)
            items.extend(objects(page, "items"))
            more = text(inner(page, "metadata"), "continue")
            if not more:
                return Got({}, tuple(items))
            query["continue"] = more
    except ApiError as error:
        return answered(error)


def answered(error: ApiError) -> Looked:
    """What a refusal means."""
    if error.status in _ABSENT:
        return Absent()
    if error.status in _DENIED:
        return Denied(error.message)
    return Failed(error.message, error.status)


def items_of(looked: Looked) -> tuple[JsonObject, ...]:
    """The items of a list; none where they are not known."""
    return looked.items if isinstance(looked, Got) else ()


def body_of(looked: Looked) -> JsonObject:
    """The object; an empty one where it is not known."""
    return looked.body if isinstance(looked, Got) else {}


def name_of(item: JsonObject) -> str:
    """An object's name."""
    return text(inner(item, "metadata"), "name")


def namespace_of(item: JsonObject) -> str:
    """An object's namespace."""
    return text(inner(item, "metadata"), "namespace")
