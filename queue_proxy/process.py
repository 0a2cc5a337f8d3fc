"""The life of a data-path process: start, serve until told to end, drain, stop. The activator's is the same.

It ends with 0 after a drain, 1 when it cannot start or breaks, 2 for a wrong flag, 143 when it was told twice to end
and so did not wait.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Callable
from typing import Protocol

import uvloop

from queue_proxy.garbage_collector import look_less_often

_AT_ONCE = 128 + signal.SIGTERM


class StartError(Exception):
    """The process cannot start; the message says which flag asks for what cannot be had."""


class Server(Protocol):
    """What such a process runs."""

    async def start(self) -> asyncio.Task[None] | None:
        """Begin to serve. A task that is returned never ends unless something is broken."""
        ...

    async def drain(self) -> None:
        """Take nothing new and finish what is there, within the server's own bounds."""
        ...

    async def stop(self, *, at_once: bool) -> None:
        """End everything now. `at_once`: without the moment that logs and spans need to be written."""
        ...


def run(program: str, name: str, log_level: int, make: Callable[[], Server]) -> int:
    """Run what `make` makes until told to end; returns the exit status. `make` may raise StartError."""
    logging.basicConfig(level=log_level, format=f"{program} {name}: %(message)s")
    _allow_as_many_connections_as_possible()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(make))
    except StartError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 1


async def _serve(make: Callable[[], Server]) -> int:
    orders = _Orders()
    server = make()
    watching = await server.start()
    look_less_often()
    at_once = False
    try:
        waited_for = [orders.to_drain] if watching is None else [watching, orders.to_drain]
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        if watching is not None and watching.done():
            watching.result()
        draining = asyncio.create_task(server.drain())
        await asyncio.wait([draining, orders.to_end], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            draining.cancel()
            at_once = True
            return _AT_ONCE
        draining.result()
        return 0
    finally:
        await server.stop(at_once=at_once)


class _Orders:
    """SIGTERM and SIGINT: the first asks to drain, the second to end."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.to_drain: asyncio.Future[None] = loop.create_future()
        self.to_end: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def _received(self) -> None:
        order = self.to_end if self.to_drain.done() else self.to_drain
        if not order.done():
            order.set_result(None)


def _allow_as_many_connections_as_possible() -> None:
    """Each request may hold two descriptors, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
