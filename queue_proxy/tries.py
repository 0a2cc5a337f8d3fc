"""What becomes of a request whose model took no connection: it is tried again, or waits for the model to be started
again, or is given up. Nothing of it was sent, so each of these is safe, and its slot stays its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from queue_proxy.readiness import Readiness

_DELAYS = (0.010, 0.020, 0.040, 0.080, 0.160, 0.320, 0.370)
"""Seconds before each further try to connect to a model that is known ready; one second together. A model that
restarts a worker, or whose backlog overflowed for a moment, is back by then; longer would hide that it died."""

RESTART_SECONDS = 30.0
"""How long a request that came directly waits for a model that has ended to be started again. A kubelet does so at once
the first time, and after 10 and 20 s the next ones; whoever waits is work in flight meanwhile."""


class Trying(Protocol):
    """A request as it is kept here. `tries` made since it was let in; `retry` is the timer that ends its wait."""

    tries: int
    retry: asyncio.TimerHandle | None


T = TypeVar("T", bound=Trying)


class Tries(Generic[T]):
    """The requests of one queue proxy that no model would take."""

    def __init__(self, readiness: Readiness, forward: Callable[[T], None], give_up: Callable[[T, str], None]) -> None:
        self._readiness = readiness
        self._forward = forward
        self._give_up = give_up
        self._for_restart: dict[T, None] = {}

    def refused(self, request: T, why: str, *, outlasts_restart: bool) -> None:
        """Its model took no connection. `outlasts_restart`: a model that has ended is waited for."""
        loop = asyncio.get_running_loop()
        if self._readiness.ready and request.tries < len(_DELAYS):
            delay = _DELAYS[request.tries]
            request.tries += 1
            request.retry = loop.call_later(delay, self._try_again, request)
        elif outlasts_restart and not self._readiness.ready:
            self._for_restart[request] = None
            request.retry = loop.call_later(RESTART_SECONDS, self._end, request, why)
        else:
            self._give_up(request, why)

    def forget(self, request: T) -> None:
        """Its client left."""
        if request.retry is not None:
            request.retry.cancel()
        self._for_restart.pop(request, None)

    def restarted(self) -> None:
        """The model is ready, perhaps again: who waited for that is tried anew."""
        waiting, self._for_restart = self._for_restart, {}
        for request in waiting:
            if request.retry is not None:
                request.retry.cancel()
            request.tries = 0
            self._try_again(request)

    def _try_again(self, request: T) -> None:
        request.retry = None
        self._forward(request)

    def _end(self, request: T, why: str) -> None:
        self._for_restart.pop(request, None)
        self._give_up(request, why)
