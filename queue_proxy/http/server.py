"""The client side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from queue_proxy.http.contract import Dispatcher, HttpLimits, Timeouts


class HttpServer:
    """Call it for a protocol: `loop.create_server(server, sock=sock)`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        limits: HttpLimits = HttpLimits(),  # noqa: B008
        timeouts: Timeouts = Timeouts(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dispatcher = dispatcher
        self.limits = limits
        self.timeouts = timeouts
        self.clock = clock
        self.connections_total = 0
        self.requests_total = 0
        self.malformed_total = 0
        self.oversize_total = 0
        self.slow_heads_total = 0

    @property
    def connections(self) -> int:
        """How many client connections are open now."""
        raise NotImplementedError

    def __call__(self) -> asyncio.Protocol:
        """A protocol for one new connection."""
        raise NotImplementedError

    def begin_drain(self) -> None:
        """Close idle connections now and the others after their answer."""
        raise NotImplementedError

    async def wait_closed(self, grace: float) -> None:
        """Until no connection is left; after `grace` seconds abort the rest."""
        raise NotImplementedError
