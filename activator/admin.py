"""The admin port: /healthz (the activator lives), /ready (it has a table and does not end) and /metrics (Prometheus).

The activator's own HTTP engine with a dispatcher that only answers. A lost controller does not make it unhealthy: it
serves on, and restarting it would only cost the requests that it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from activator.link import Link
from activator.services import ServiceTable
from queue_proxy.http import Answer, Exchange, Upstream, error_answer

_JSON = ((b"content-type", b"application/json"),)


class AdminDispatcher:
    """Implements `queue_proxy.http.Dispatcher` for the admin port."""

    def __init__(self, table: ServiceTable, link: Link, why_not_ready: Callable[[], str]) -> None:
        """`why_not_ready` says why no client should be led here, "" while they should."""
        self._table = table
        self._link = link
        self._why_not_ready = why_not_ready

    def arrive(self, exchange: Exchange) -> None:
        """Answer at once."""
        path = exchange.head.target.partition(b"?")[0]
        if exchange.head.method not in (b"GET", b"HEAD"):
            exchange.answer(error_answer(405, "the admin port knows GET and HEAD"))
        elif path == b"/healthz":
            body = {"status": "ok", "services": len(self._table.names()), "link_connected": self._link.connected}
            exchange.answer(Answer(200, _JSON, json.dumps(body).encode()))
        elif path == b"/ready":
            if why_not := self._why_not_ready():
                exchange.answer(error_answer(503, why_not))
            else:
                exchange.answer(Answer(200, _JSON, b'{"status": "ready"}'))
        elif path == b"/metrics":
            # Loaded with the first scrape: the library takes as long to import as the rest of the start.
            from activator.metrics import CONTENT_TYPE, render

            exchange.answer(Answer(200, ((b"content-type", CONTENT_TYPE),), render(self._table, self._link)))
        else:
            exchange.answer(error_answer(404, "there is no such page here; there are /healthz, /ready, /metrics"))

    def abandoned(self, exchange: Exchange) -> None:
        """Nothing waits here."""

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        """Nothing is forwarded from here."""
        raise AssertionError("the admin port forwards nothing")
