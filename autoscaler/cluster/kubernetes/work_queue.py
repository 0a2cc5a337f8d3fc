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
    """First marked, first looked at, but for those that are `hurried`, which come before all others. Pauses between
    tries of one name grow from `first_pause` to `longest_pause`."""

    def __init__(self, hurried: Callable[[str], bool], first_pause: float, longest_pause: float) -> None:
        self._is_hurried = hurried
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._marked: dict[str, None] = {}
        self._hurried: dict[str, None] = {}
        self._any = asyncio.Event()
        self._any_hurried = asyncio.Event()
        self._tries: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def mark(self, name: str) -> None:
        """It is to be looked at."""
        if self._is_hurried(name):
            self._marked.pop(name, None)
            self._hurried[name] = None
            self._any_hurried.set()
        elif name not in self._hurried:
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
        if name not in self._marked and name not in self._hurried and (timer is None or timer.when() > due):
            self.mark_later(name, seconds)

    def forget(self, name: str) -> None:
        """It need not be looked at any more."""
        self._marked.pop(name, None)
        self._hurried.pop(name, None)
        self._tries.pop(name, None)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    async def work(self, look_at: Callable[[str], Awaitable[None]], workers: int) -> None:
        """Look at what is marked, at so many at a time and at as many more that are hurried, until cancelled."""
        self._tries.clear()
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(look_at, self._next), name=f"work {number}")
                # Those may all be waiting for something, at what nobody waits for.
                group.create_task(self._work(look_at, self._next_hurried), name=f"hurried work {number}")

    async def _next(self) -> str:
        while not (self._hurried or self._marked):
            self._any.clear()
            await self._any.wait()
        return _first(self._hurried or self._marked)

    async def _next_hurried(self) -> str:
        while not self._hurried:
            self._any_hurried.clear()
            await self._any_hurried.wait()
        return _first(self._hurried)

    async def _work(self, look_at: Callable[[str], Awaitable[None]], following: Callable[[], Awaitable[str]]) -> None:
        while True:
            name = await following()
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


def _first(names: dict[str, None]) -> str:
    name = next(iter(names))
    del names[name]
    return name
