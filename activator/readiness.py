"""Readiness: asks each endpoint that is not known to be ready, and holds the line until it answers.

A queue proxy watches its model itself, so asking it once is enough: `GET /ready?wait=` is answered the moment the model
is ready. That takes Kubernetes, the controller and their intervals out of the path of a held request. Only while
nothing listens yet, because the queue proxy itself is being started, is there anything to repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from activator.endpoint_load import EndpointLoad
from queue_proxy.http_get import FetchError, NoConnectionInTimeError, Request, get

log = logging.getLogger(__name__)

WAIT_SECONDS = 30
_ANSWER_SECONDS = WAIT_SECONDS + 5.0
_CONNECT_EVERY_AT_FIRST = 0.01
_CONNECT_EVERY_AT_MOST = 0.05
# A connect is repeated after this share of the time that has passed: whoever takes long to listen is asked less often,
# and never learns of its readiness later than by that share of its own start.
_SHARE_OF_ELAPSED = 0.03
# A pod whose network is not there yet drops what is sent to it, and the kernel would send it again after a second. So a
# connect is given up early and made anew; each time later, for there are networks that take long.
_CONNECT_SECONDS_AT_FIRST = 0.05
_CONNECT_SECONDS_AT_MOST = 1.0
_ATTEMPTS_PER_SECOND = 1_000


class Pace:
    """How often connects may be repeated, over all services: many that start at once are each asked less often."""

    def __init__(self) -> None:
        self.repeating = 0

    def pause(self, elapsed: float) -> float:
        """Seconds until the next connect to an endpoint that has been asked for `elapsed` seconds."""
        own = min(_CONNECT_EVERY_AT_MOST, max(_CONNECT_EVERY_AT_FIRST, _SHARE_OF_ELAPSED * elapsed))
        return max(own, self.repeating / _ATTEMPTS_PER_SECOND)


class ReadinessWatch:
    """One held question for each endpoint that is asked. `proven` is called with each that says it is ready."""

    def __init__(self, clock: Callable[[], float], proven: Callable[[EndpointLoad], None], pace: Pace) -> None:
        self._pace = pace
        self._clock = clock
        self._proven = proven
        self._asking: dict[EndpointLoad, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._asking)

    def ask(self, unproven: Iterable[EndpointLoad]) -> None:
        """Ask these and nobody else: questions to others are taken back."""
        wanted = dict.fromkeys(unproven)
        for load in [load for load in self._asking if load not in wanted]:
            self._asking.pop(load).cancel()
        for load in wanted:
            if load not in self._asking:
                task = asyncio.get_running_loop().create_task(self._ask(load))
                self._asking[load] = task

    def close(self) -> None:
        """Take every question back."""
        self.ask(())

    async def _ask(self, load: EndpointLoad) -> None:
        began = self._clock()
        patience = _CONNECT_SECONDS_AT_FIRST
        while True:
            asked = self._clock()
            try:
                if await self._is_ready(load, patience):
                    # Out of the table first: what follows may ask for the same endpoint again.
                    self._asking.pop(load, None)
                    self._proven(load)
                    return
                patience = _CONNECT_SECONDS_AT_FIRST
            except NoConnectionInTimeError:
                patience = min(_CONNECT_SECONDS_AT_MOST, 1.5 * patience)
            now = self._clock()
            if now - asked < 1.0:
                # Refused, or answered without holding the line. After a held answer the next question follows at once.
                await self._rest(now - began)

    async def _rest(self, elapsed: float) -> None:
        self._pace.repeating += 1
        try:
            await asyncio.sleep(self._pace.pause(elapsed))
        finally:
            self._pace.repeating -= 1

    async def _is_ready(self, load: EndpointLoad, patience: float) -> bool:
        """Ask once. Raises NoConnectionInTimeError; whatever else goes wrong is no."""
        endpoint = load.endpoint
        path = f"/ready?wait={WAIT_SECONDS}"
        request = Request(endpoint.host, endpoint.admin_port, path, (("User-Agent", "pilotlight-activator"),))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reply = await get(request, 0, patience)
        except NoConnectionInTimeError:
            raise
        except (OSError, FetchError) as error:  # a TimeoutError is an OSError
            log.debug("%s:%d does not say whether it is ready: %s", endpoint.host, endpoint.admin_port, error)
            return False
        return reply.status == 200
