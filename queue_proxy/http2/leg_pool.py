"""Which way leads to an endpoint: connections of streams, or one of HTTP/1 for each stream, behind a translation.

An exchange knows neither; both take the same calls and answer with the same ones (see `sides`).
"""

from __future__ import annotations

from queue_proxy.http.upstream import Upstream, UpstreamProtocol
from queue_proxy.http2.pool import StreamPool
from queue_proxy.http2.sides import LegPool
from queue_proxy.http2.translation import TranslatingPool


def leg_pool(upstream: Upstream) -> LegPool:
    """The pool of an endpoint, made when its first stream comes."""
    pool = upstream.streams
    if isinstance(pool, StreamPool | TranslatingPool):
        return pool
    made = StreamPool(upstream) if upstream.protocol is UpstreamProtocol.H2C else TranslatingPool(upstream)
    upstream.streams = made
    return made
