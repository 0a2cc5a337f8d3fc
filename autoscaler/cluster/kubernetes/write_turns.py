"""Turns at writing: no more writes under way than an API server takes gladly, and what somebody waits for first.

A controller that has just started has something to write of every service at once. A thousand requests in the same
moment are all answered too late or not at all, and with them the Lease's renewal and the question whose token an
activator shows. Those, and watches, need no turn.

A turn is waited for without a bound, and bounded once it has begun: a write that waited is not one that failed.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

from autoscaler.cluster.kubernetes.api_error import ApiError

WRITES_AT_ONCE = 16
_LONGEST_TURN = 5.0
# Of all turns, as many are for wakes alone: all others may be held by writes that a server in trouble does not answer.
_FOR_WAKES = 0.25


class Urgency(IntEnum):
    """What is written first.

    WAKE    more replicas: somebody may be waiting for them
    ORDER   fewer: what waits here cannot be taken back when somebody comes meanwhile
    DOOR    who leads connections to a service without a ready pod: until it is written they may be refused
    PATH    other orders of where connections are led
    UPKEEP  what is brought up to date without anybody having asked
    """

    WAKE = 0
    ORDER = 1
    DOOR = 2
    PATH = 3
    UPKEEP = 4


class WriteTurns:
    """Gives turns, by urgency and then by who came first. To be used within one event loop."""

    def __init__(self, at_once: int = WRITES_AT_ONCE) -> None:
        self.at_once = at_once
        self._unhurried = at_once - int(at_once * _FOR_WAKES)
        self._under_way = 0
        self._came = 0
        self._line: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._not_before = 0.0
        self._opening: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[None]:
        """Wait for a turn and have it. What is raised within it is passed on; raises ApiError when it lasts too long.

        A server that asks to be left alone for some time is: not only who was told waits, but all that is no order of
        replicas.
        """
        await self._begin(urgency)
        try:
            async with asyncio.timeout(_LONGEST_TURN):
                yield
        except TimeoutError as error:
            raise ApiError(0, "Timeout", f"the API server did not answer within {_LONGEST_TURN:g} s") from error
        except ApiError as error:
            self._hold_off(error.retry_after or 0.0)
            raise
        finally:
            self._under_way -= 1
            self._let_in()

    async def _begin(self, urgency: Urgency) -> None:
        self._came += 1
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (urgency, self._came, mine))
        self._let_in()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                self._let_in()  # it may have been the first in line
            else:
                self._under_way -= 1
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._line:
            urgency, _, first = self._line[0]
            if not first.done():
                if not self._free(urgency):
                    return
                first.set_result(None)
                self._under_way += 1
            heapq.heappop(self._line)

    def _free(self, urgency: Urgency) -> bool:
        if urgency is Urgency.WAKE:
            return self._under_way < self.at_once
        return self._under_way < self._unhurried and (self._opening is None or urgency is Urgency.ORDER)

    def _hold_off(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() + seconds <= self._not_before or seconds <= 0.0:
            return
        self._not_before = loop.time() + seconds
        if self._opening is not None:
            self._opening.cancel()
        self._opening = loop.call_at(self._not_before, self._open)

    def _open(self) -> None:
        self._opening = None
        self._let_in()
