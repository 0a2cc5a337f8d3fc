"""Streams that somebody watches, for a request log or for spans. See `queue_proxy.http.observed`.

A class of its own, chosen when a connection is made, so that streams that nobody watches pay nothing.
"""

from __future__ import annotations

from queue_proxy.http.contract import Answer, Lease, Outcome
from queue_proxy.http.lease_holder import DONE
from queue_proxy.http.upstream import Upstream
from queue_proxy.http2.exchange import StreamExchange
from queue_proxy.http2.heads import Response, Trailers


class ObservedStreamExchange(StreamExchange):
    """An exchange that knows what an observer asks: see `Observed`. Bytes are those of bodies and of encoded heads.

    `status` is HTTP's, also where a gRPC client was told one of its own.
    """

    trace: object | None = None
    status: int | None = None
    outcome: Outcome | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    _told: bool = False

    @property
    def upstream(self) -> Upstream | None:
        """See Observed."""
        return self._upstream

    def forward(self, upstream: Upstream, lease: Lease) -> None:
        """See StreamExchange."""
        observer = self.client.server.observer
        if observer is not None and self.state is not DONE:
            observer.forwarding(self)
        super().forward(upstream, lease)

    def receive_body(self, data: bytes, ended: bool) -> None:
        """See StreamExchange."""
        self.bytes_in += len(data)
        super().receive_body(data, ended)

    def receive_head(self, head: Response | Trailers, ended: bool) -> None:
        """See StreamExchange."""
        self.bytes_out += len(head.block)
        if isinstance(head, Response):
            self.status = head.status
        super().receive_head(head, ended)

    def receive_data(self, data: bytes, ended: bool) -> None:
        """See StreamExchange."""
        self.bytes_out += len(data)
        super().receive_data(data, ended)

    def client_left(self) -> None:
        """See StreamExchange."""
        super().client_left()
        self._tell()

    def _answer_locally(self, answer: Answer) -> None:
        self.status = answer.status
        super()._answer_locally(answer)
        self._tell()

    def _fail(self, status: int, why: str) -> None:
        super()._fail(status, why)
        self._tell()

    def _end(self, outcome: Outcome) -> None:
        super()._end(outcome)
        if outcome is not Outcome.FAILED:
            self._tell()

    def _release(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super()._release(outcome)

    def _tell(self) -> None:
        observer = self.client.server.observer
        if observer is None or self._told or not self.dispatched:
            return
        self._told = True
        self.bytes_in += len(self.head.request.block)
        observer.ended(self)
