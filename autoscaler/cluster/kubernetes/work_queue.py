"""Names of what has to be looked at: each once, however often it is marked; tried again, with pauses, where it failed.

Level-triggered: a name says that something may be other than it shall be, and nothing of what happened.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.api_error import ApiError

_log = logging.getLogger(__name__)


class WorkQueue:
    """First marked, first looked at. Pauses between tries of one name grow from `first_pause` to `longest_pause`."""

    def __init__(self, first_pause: float, longest_pause: float) -> None:
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._marked: dict[str, None] = {}
        self._any = asyncio.Event()
        self._tries: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def mark(self, name: str) -> None:
        """It is to be looked at."""
        self._marked[name] = None
        self._any.set()

    def mark_later(self, name: str, seconds: float) -> None:
        """The same after so long; what was said before of later is replaced."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        # A hair later, so that what is due then is found to be due.
        self._timers[name] = asyncio.get_running_loop().call_later(seconds + 0.001, self._due, name)

    def mark_within(self, name: str, seconds: float) -> None:
        """The same after so long, unless it is to be looked at sooner in any case."""
        timer = self._timers.get(name)
        due = asyncio.get_running_loop().time() + seconds
        if name not in self._marked and (timer is None or timer.when() > due):
            self.mark_later(name, seconds)

    def forget(self, name: str) -> None:
        """It need not be looked at any more."""
        self._marked.pop(name, None)
        self._tries.pop(name, None)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    async def work(self, look_at: Callable[[str], Awaitable[None]], workers: int) -> None:
        """Look at what is marked, at so many at a time, until cancelled."""
        self._tries.clear()
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(look_at), name=f"work {number}")

    async def _work(self, look_at: Callable[[str], Awaitable[None]]) -> None:
        while True:
            while not self._marked:
                self._any.clear()
                await self._any.wait()
            name = next(iter(self._marked))
            del self._marked[name]
            try:
                await look_at(name)
            except ApiError as error:
                self._failed(name, error.message, error.retry_after or 0.0)
            except ClusterError as error:
                self._failed(name, str(error), 0.0)
            except Exception as error:
                # A fault of ours with one of them must not end the care for all others.
                _log.exception("%s", name)
                self._failed(name, repr(error), self._longest_pause)
            else:
                self._tries.pop(name, None)

    def _failed(self, name: str, why: str, at_least: float) -> None:
        tries = self._tries.get(name, 0)
        if tries == 0:
            _log.warning("%s: %s", name, why)
        self._tries[name] = tries + 1
        grown = min(self._longest_pause, self._first_pause * 2 ** min(20, tries))
        self.mark_later(name, at_least + grown * random.uniform(0.5, 1.0))  # noqa: S311

    def _due(self, name: str) -> None:
        self._timers.pop(name, None)
        self.mark(name)
