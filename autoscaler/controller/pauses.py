"""Long work in pieces, so that everything else has its turn between them.

One event loop does all that a controller does. A renewal of its lease needs some ten turns of that loop, within two
seconds: who works on thousands of services without a pause loses the lease over it, and with it the work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable


async def with_pauses(steps: Iterable[object], at_once: int) -> None:
    """Do all steps, by iterating over them; after each `at_once` of them the event loop has a turn."""
    for number, _ in enumerate(steps, start=1):
        if number % at_once == 0:
            await asyncio.sleep(0)


class FewAtOnce:
    """Lets so many tasks go on in one turn of the event loop; who comes later goes on in one of the next."""

    def __init__(self, at_once: int) -> None:
        """Nobody waits."""
        self._at_once = at_once
        self._left = at_once
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._counting = False

    async def my_turn(self, *, urgent: bool = False) -> None:
        """Go on when it is our turn, which may be at once. Who is urgent goes before who is not."""
        loop = asyncio.get_running_loop()
        if not self._counting:
            self._counting = True
            loop.call_soon(self._next)
        if self._left > 0:
            self._left -= 1
            return
        waiting = loop.create_future()
        (self._urgent if urgent else self._others).append(waiting)
        await waiting

    def _next(self) -> None:
        """A turn of the loop is over."""
        counted, self._left = self._left < self._at_once, self._at_once
        while self._left > 0 and (queue := self._urgent or self._others):
            waiting = queue.popleft()
            if not waiting.done():  # cancelled
                waiting.set_result(None)
                self._left -= 1
        if counted:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._counting = False
