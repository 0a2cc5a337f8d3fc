"""Signals as orders: to end, and to roll.

SIGHUP has two meanings. A terminal that is closed sends it to what runs in it, and that should end then; everybody else
who sends it wants files to be read again. Whether there still is a terminal tells the two apart.
"""

from __future__ import annotations

import asyncio
import os
import signal
from enum import Enum


class Roll(Enum):
    """What shall be replaced while everything goes on.

    FOLLOW      what the files ask for now and did not before
    COMPONENTS  the activator and the controller
    REPLICAS    every replica
    """

    FOLLOW = signal.SIGHUP
    COMPONENTS = signal.SIGUSR1
    REPLICAS = signal.SIGUSR2


class Orders:
    """Signals to end: the first asks to drain, the second to end at once. With `rolling`, also signals to roll."""

    def __init__(self, *, rolling: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[int] = loop.create_future()
        self.second: asyncio.Future[int] = loop.create_future()
        self.rolls: asyncio.Queue[Roll] = asyncio.Queue()
        self._had_terminal = _has_terminal()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._received, number)
        if rolling:
            for roll in Roll:
                loop.add_signal_handler(roll.value, self._roll, roll)

    def _received(self, number: int) -> None:
        order = self.second if self.first.done() else self.first
        if not order.done():
            order.set_result(number)

    def _roll(self, roll: Roll) -> None:
        if roll is Roll.FOLLOW and self._had_terminal and not _has_terminal():
            self._received(signal.SIGHUP)
        else:
            self.rolls.put_nowait(roll)


def _has_terminal() -> bool:
    """Whether this process has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
