"""What an exchange and its two sides say to each other: the client's connection, and the way to an upstream.

An exchange stands between two streams and owns what comes on either. Connections make exchanges, and exchanges ask
pools for connections; these protocols keep that from being a circle.
"""

from __future__ import annotations

from typing import Protocol

from queue_proxy.http.client_side import Client
from queue_proxy.http.contract import HttpLimits
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.heads import Response, StreamHead, Trailers
from queue_proxy.http2.limits import Http2Limits
from queue_proxy.http2.stream import Stream


class ClientStreamOwner(Protocol):
    """Who hears what a client does on its stream."""

    def receive_body(self, data: bytes, ended: bool) -> None:
        """A part of the request's body."""
        ...

    def receive_request_trailers(self, trailers: Trailers) -> None:
        """The end of the request."""
        ...

    def client_took(self, size: int) -> None:
        """So many bytes of the answer, which had to wait, have left."""
        ...

    def client_left(self) -> None:
        """The client is gone, or wants no answer any more."""
        ...

    def expire(self, now: float) -> float:
        """Fail if a timeout has passed; returns when to look again."""
        ...


class StreamClient(Client, Protocol):
    """The connection that a stream came on, and that its answer goes back on. See `sending.Sending`."""

    limits: Http2Limits

    def send_headers(self, stream: Stream[ClientStreamOwner], block: bytes, ended: bool) -> None:
        """The head of the answer, or an interim one."""
        ...

    def send_data(self, stream: Stream[ClientStreamOwner], data: bytes, ended: bool) -> int:
        """A part of the body; returns how many bytes left at once, `client_took` tells of the others."""
        ...

    def send_trailers(self, stream: Stream[ClientStreamOwner], block: bytes) -> None:
        """The end of the answer."""
        ...

    def credit(self, stream: Stream[ClientStreamOwner], size: int) -> None:
        """So many bytes of the request are dealt with."""
        ...

    def reset(self, stream: Stream[ClientStreamOwner], code: ErrorCode) -> None:
        """There is no more to say."""
        ...


class UpstreamStreamOwner(Protocol):
    """Who has sent a request on a stream to an upstream, or waits to, and hears what comes of it."""

    head: StreamHead

    @property
    def answer_limits(self) -> HttpLimits:
        """Bounds on an answer's head, where it comes as HTTP/1, and on what is held of its body."""
        ...

    def connected(self, connection: Leg) -> None:
        """The connection that it waited for is there."""
        ...

    def unreachable(self, why: str) -> None:
        """There is none; not one byte was sent."""
        ...

    def receive_head(self, head: Response | Trailers, ended: bool) -> None:
        """The head of the answer, an interim one, or the trailers."""
        ...

    def receive_data(self, data: bytes, ended: bool) -> None:
        """A part of the answer's body."""
        ...

    def upstream_took(self, size: int) -> None:
        """So many bytes of the request, which had to wait, have left."""
        ...

    def upstream_reset(self, code: int) -> None:
        """The upstream has reset the stream."""
        ...

    def upstream_declined(self, why: str) -> None:
        """The upstream says that it has not looked at the request: it may be sent again."""
        ...

    def upstream_broke(self, why: str) -> None:
        """The upstream's stream, or its connection, is gone."""
        ...


class Leg(Protocol):
    """Carries requests to an upstream and their answers back, each on a stream. See `sending.Sending`."""

    def open(self, owner: UpstreamStreamOwner, receive_window: int) -> Stream[UpstreamStreamOwner]:
        """A new stream, whose owner hears what comes on it."""
        ...

    def send_headers(self, stream: Stream[UpstreamStreamOwner], block: bytes, ended: bool) -> None:
        """The head of the owner's request."""
        ...

    def send_data(self, stream: Stream[UpstreamStreamOwner], data: bytes, ended: bool) -> int:
        """A part of the body; returns how many bytes left at once, `upstream_took` tells of the others."""
        ...

    def send_trailers(self, stream: Stream[UpstreamStreamOwner], block: bytes) -> None:
        """The end of the request."""
        ...

    def credit(self, stream: Stream[UpstreamStreamOwner], size: int) -> None:
        """So many bytes of the answer are dealt with."""
        ...

    def reset(self, stream: Stream[UpstreamStreamOwner], code: ErrorCode) -> None:
        """Nobody wants the rest."""
        ...


class LegPool(Protocol):
    """Where an upstream's legs come from."""

    def take(self, exchange: UpstreamStreamOwner) -> Leg | None:
        """One for this exchange that can be used now, None when a new one is needed."""
        ...

    def wait(self, exchange: UpstreamStreamOwner) -> None:
        """Have `exchange.connected` or `exchange.unreachable` called, never at once."""
        ...

    def leave(self, exchange: UpstreamStreamOwner) -> None:
        """It waits no longer."""
        ...
