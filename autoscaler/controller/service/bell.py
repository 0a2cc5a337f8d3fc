"""A bell that one task waits for, for a while: asyncio.Event, without the exception that ends asyncio.timeout.

Each of thousands of services waits so for its next turn, and nearly always in vain: nobody rings, and it is time.
"""

from __future__ import annotations

import asyncio


class Bell:
    """Rung or not. One task at a time may wait for it."""

    def __init__(self) -> None:
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake who waits, or who will; until it is hushed."""
        self._rung = True
        self._wake()

    def hush(self) -> None:
        """From now on it is not rung."""
        self._rung = False

    async def rung_within(self, seconds: float) -> bool:
        """True as soon as it is rung, False after so many seconds."""
        if not self._rung:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(max(0.0, seconds), self._wake)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        return self._rung

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
