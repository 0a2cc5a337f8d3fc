"""Reads the controller's tables: the whole one comes each time, and nearly all of it is as it was.

With thousands of services a table would otherwise stop every request for half a second each time that one of them
changes. A route whose text means the same as before is the same object as before, so whoever follows tables sees at a
glance what there is nothing to do about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from activator.messages import Route, Routes, parse_route, parse_routes
from queue_proxy.messages import MessageError


class TableReader:
    """Remembers the last table that could be read."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, Route]] = {}

    def read(self, text: object) -> Routes:
        """The table in a message. Raises MessageError, see `parse_routes`."""
        if not isinstance(text, str):
            raise MessageError("a table is a text message")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MessageError(f"not JSON: {error}") from error
        known: dict[str, tuple[object, Route]] = {}

        def route_of(raw: object) -> Route:
            name = raw.get("service") if isinstance(raw, Mapping) else None
            before = self._known.get(name) if isinstance(name, str) else None
            route = before[1] if before is not None and before[0] == raw else parse_route(raw)
            known[route.service] = (raw, route)
            return route

        routes = parse_routes(body, route_of)
        self._known = known
        return routes
