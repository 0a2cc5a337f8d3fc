"""One blocking question at a time, in a thread that nobody waits for at the end.

For libraries that know no event loop and may never come back: a driver that hangs, a server that does not answer. The
loop's own executor would do, but a process cannot end before its threads do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class StillAskingError(Exception):
    """The question before has not been answered yet; no second thread is spent on it."""


class SideThread(Generic[Answer]):
    """Asks, and gives up waiting in time; `name` is the thread's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asking = False

    async def ask(self, question: Callable[[], Answer], seconds: float) -> Answer:
        """What `question` returns or raises. Raises TimeoutError past `seconds`, and StillAskingError."""
        if self._asking:
            raise StillAskingError
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def settle(answer: Callable[[], Answer]) -> None:
            if answered.done():
                return
            try:
                answered.set_result(answer())
            except Exception as error:
                answered.set_exception(error)

        def run() -> None:
            outcome = _outcome(question)
            self._asking = False
            try:
                loop.call_soon_threadsafe(settle, outcome)
            except RuntimeError:
                pass  # the loop has ended, and with it whoever asked

        self._asking = True
        threading.Thread(target=run, name=self._name, daemon=True).start()
        async with asyncio.timeout(seconds):
            return await answered


def _outcome(question: Callable[[], Answer]) -> Callable[[], Answer]:
    """What came of it, to be had in another thread."""
    try:
        answer = question()
    except Exception as error:
        failure = error

        def fail() -> Answer:
            raise failure

        return fail
    return lambda: answer
