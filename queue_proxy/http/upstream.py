"""The upstream side."""

from __future__ import annotations

import time
from collections.abc import Callable


class Upstream:
    """One endpoint with its pool of connections."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_seconds: float = 5.0,
        idle_seconds: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self.port = port
        self.connect_seconds = connect_seconds
        self.idle_seconds = idle_seconds
        self.clock = clock

    def close(self) -> None:
        """Close idle connections, and busy ones when their exchange ends."""
        raise NotImplementedError
