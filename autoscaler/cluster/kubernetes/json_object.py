"""Reading decoded JSON in which anything may stand anywhere.

The API server checks what it stores, but not every object has a schema (the short form of KServe's definitions has
none), and a watch must not end because of one odd object. So nothing here raises: what is not of the expected type is
as if it were absent. An object is a dict here, as the decoder makes them: to ask for any mapping takes three times as
long, and it is asked a hundred times for each pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

JsonObject = Mapping[str, object]

_EMPTY: JsonObject = {}


def inner(body: object, *path: str) -> JsonObject:
    """The object at `path`; an empty one where there is none."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body if isinstance(body, dict) else _EMPTY


def objects(body: JsonObject, name: str) -> Iterator[JsonObject]:
    """The objects of the list under `name`; what is no object in it is passed over."""
    items = body.get(name)
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))


def texts(body: JsonObject, name: str) -> tuple[str, ...]:
    """The texts of the list under `name`."""
    items = body.get(name)
    return tuple(item for item in items if isinstance(item, str)) if isinstance(items, list) else ()


def text(body: JsonObject, name: str) -> str:
    """The text under `name`; empty when there is none."""
    value = body.get(name)
    return value if isinstance(value, str) else ""


def number(body: JsonObject, name: str, otherwise: int = 0) -> int:
    """The whole number under `name`."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def seconds(body: JsonObject, name: str) -> float | None:
    """The time under `name` as seconds since 1970."""
    value = body.get(name)
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
