"""Connections and exchanges that somebody watches, for a request log or for spans.

They are classes of their own, chosen once when a server is made: a server that nobody watches has none of this on its
path, not even a question.
"""

from __future__ import annotations

from queue_proxy.http.client import ClientConnection
from queue_proxy.http.connections import Connections
from queue_proxy.http.contract import Answer, Lease, Outcome
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.http.lease_holder import TUNNEL
from queue_proxy.http.response_head import ResponseHead
from queue_proxy.http.upstream import Upstream


class ObservedExchange(Http1Exchange):
    """An exchange that knows what an observer asks. See Observed."""

    trace: object | None = None
    outcome: Outcome | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    _local_status: int | None = None

    @property
    def status(self) -> int | None:
        """See Observed."""
        if self._local_status is None and self._response is not None:
            return self._response.status
        return self._local_status

    @property
    def upstream(self) -> Upstream | None:
        """See Observed."""
        return self._upstream

    def forward(self, upstream: Upstream, lease: Lease) -> None:
        """See Http1Exchange."""
        observer = self.client.server.observer
        if observer is not None:
            observer.forwarding(self)
        super().forward(upstream, lease)

    def refused(self, status: int) -> None:
        """Its body was malformed before anybody was told of it."""
        self._local_status = status

    def _begin_tunnel(self, head: ResponseHead, data: bytes) -> None:
        super()._begin_tunnel(head, data)
        if self.state is TUNNEL:
            self._local_status = head.status

    def _answer_locally(self, answer: Answer) -> None:
        self._local_status = answer.status
        super()._answer_locally(answer)

    def _release(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super()._release(outcome)


class ObservedConnection(ClientConnection):
    """A connection that counts its bytes and tells when an exchange has ended.

    What was received and not kept for a later request, since the last exchange ended, belongs to this one.
    """

    __slots__ = ("_received", "_received_before", "_sent", "_sent_before")

    exchange_class = ObservedExchange

    def __init__(self, server: Connections) -> None:
        super().__init__(server)
        self._received = 0
        self._received_before = 0
        self._sent = 0
        self._sent_before = 0

    def data_received(self, data: bytes) -> None:
        """See ClientConnection."""
        self._received += len(data)
        super().data_received(data)

    def write(self, data: bytes) -> None:
        """See ClientConnection."""
        self._sent += len(data)
        super().write(data)

    def finish(self, *, closing: bool, linger: bool) -> None:
        """See ClientConnection. Told before, because the next request may begin in here."""
        self._tell(self.exchange)
        super().finish(closing=closing, linger=linger)

    def cut(self, framed: bool) -> None:
        """See ClientConnection."""
        self._tell(self.exchange)
        super().cut(framed)

    def abandon(self) -> None:
        """See ClientConnection."""
        exchange = self.exchange
        super().abandon()
        self._tell(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """See ClientConnection."""
        exchange = self.exchange
        super().connection_lost(exc)
        self._tell(exchange)

    def _refuse(self, status: int, why: str) -> None:
        exchange = self.exchange
        super()._refuse(status, why)
        if isinstance(exchange, ObservedExchange):
            exchange.refused(status)
        self._tell(exchange)

    def _tell(self, exchange: Http1Exchange | None) -> None:
        observer = self.server.observer
        if observer is None or not isinstance(exchange, ObservedExchange):
            return
        taken = self._received - len(self._ahead)
        exchange.bytes_in, self._received_before = taken - self._received_before, taken
        exchange.bytes_out, self._sent_before = self._sent - self._sent_before, self._sent
        observer.ended(exchange)
