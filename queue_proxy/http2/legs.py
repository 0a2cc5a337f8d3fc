"""The way from an exchange to its upstream: a connection of streams, or one of HTTP/1 behind a translation.

An exchange knows neither; both take the same calls and answer with the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from queue_proxy.http.upstream import Upstream, UpstreamProtocol
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.pool import StreamPool
from queue_proxy.http2.stream import Stream
from queue_proxy.http2.translation import TranslatingPool

if TYPE_CHECKING:
    from queue_proxy.http2.exchange import StreamExchange


class Leg(Protocol):
    """Carries requests to an upstream and their answers back, each on a stream. See `sending.Sending`."""

    def open(self, owner: StreamExchange, receive_window: int) -> Stream[StreamExchange]:
        """A new stream, whose owner hears what comes on it."""
        ...

    def send_headers(self, stream: Stream[StreamExchange], block: bytes, ended: bool) -> None:
        """The head of the owner's request."""
        ...

    def send_data(self, stream: Stream[StreamExchange], data: bytes, ended: bool) -> int:
        """A part of the body; returns how many bytes left at once, `upstream_took` tells of the others."""
        ...

    def send_trailers(self, stream: Stream[StreamExchange], block: bytes) -> None:
        """The end of the request."""
        ...

    def credit(self, stream: Stream[StreamExchange], size: int) -> None:
        """So many bytes of the answer are dealt with."""
        ...

    def reset(self, stream: Stream[StreamExchange], code: ErrorCode) -> None:
        """Nobody wants the rest."""
        ...


class LegPool(Protocol):
    """Where an upstream's legs come from."""

    def take(self, exchange: StreamExchange) -> Leg | None:
        """One for this exchange that can be used now, None when a new one is needed."""
        ...

    def wait(self, exchange: StreamExchange) -> None:
        """Have `exchange.connected` or `exchange.unreachable` called, never at once."""
        ...

    def leave(self, exchange: StreamExchange) -> None:
        """It waits no longer."""
        ...


def leg_pool(upstream: Upstream) -> LegPool:
    """The pool of an endpoint, made when its first stream comes."""
    pool = upstream.streams
    if isinstance(pool, StreamPool | TranslatingPool):
        return pool
    made = StreamPool(upstream) if upstream.protocol is UpstreamProtocol.H2C else TranslatingPool(upstream)
    upstream.streams = made
    return made
