"""One request and its answer."""

from __future__ import annotations

from queue_proxy.http.contract import Answer, Lease
from queue_proxy.http.head import RequestHead
from queue_proxy.http.upstream import Upstream


class Exchange:
    """One request and its answer."""

    __slots__ = ("arrived_at", "buffered", "clock_from", "context", "head")

    head: RequestHead
    arrived_at: float
    clock_from: float
    buffered: int
    context: object | None

    def forward(self, upstream: Upstream, lease: Lease) -> None:
        """Send it to `upstream`; from here the exchange owns `lease`."""
        raise NotImplementedError

    def answer(self, answer: Answer) -> None:
        """Finish it with an answer of our own."""
        raise NotImplementedError

    def begin_events(self) -> None:
        """Start a 200 text/event-stream while the exchange waits."""
        raise NotImplementedError

    def comment(self, text: bytes) -> None:
        """Send one comment line, `: text`."""
        raise NotImplementedError
