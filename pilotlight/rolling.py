"""Changes while everything goes on: files that are read again, components and replicas that are replaced.

One after the other, whatever order they are asked for in. Whatever is wrong is said, and what was in force before stays
in force: an order to roll must not be able to end what it was meant to keep up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from autoscaler.cluster.local.machine import Machine
from pilotlight.errors import CommandError
from pilotlight.listeners import Listener
from pilotlight.node import Node
from pilotlight.orders import Roll
from pilotlight.prepared import UpOptions, bind_and_read


class Rolling:
    """Carries orders out on `node`. `say` gets what was done, `complain` what was not; both are lines for a person."""

    def __init__(
        self,
        node: Node,
        options: UpOptions,
        machine: Machine,
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._node = node
        self._options = options
        self._machine = machine
        self._say = say
        self._complain = complain
        self._ports_given = len(node.listeners)
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self, orders: asyncio.Queue[Roll]) -> None:
        """Carry out each order; ends only by cancellation."""
        try:
            while True:
                order = await orders.get()
                try:
                    await self._carry_out(order)
                except CommandError as error:
                    for line in str(error).splitlines():
                        self._complain(line)
        finally:
            for waiting in self._waiting:
                waiting.cancel()

    async def _carry_out(self, order: Roll) -> None:
        match order:
            case Roll.FOLLOW:
                await self._follow()
            case Roll.COMPONENTS:
                await self._node.roll_controller()
                await self._node.roll_activator()
                self._say("rolled: a new controller and a new activator are at work")
            case Roll.REPLICAS:
                self._node.agent.roll()
                self._tell_when_rolled()

    async def _follow(self) -> None:
        """Read the files again. A service keeps its port; a new one gets the next that was never given."""
        first = self._options.first_port
        before = self._node.listeners
        try:
            listeners, specs = bind_and_read(
                self._options, self._machine, before, first + self._ports_given if first else 0
            )
        except CommandError as error:
            raise CommandError(f"{error}\nnothing was changed: what was in force before stays") from error
        new, gone = _without(listeners, before), _without(before, listeners)
        if new or gone:
            # First who accepts, then who serves: requests for a new service wait for it, and those for one that goes
            # are finished by the activator of before.
            try:
                await self._node.roll_activator(listeners)
            except CommandError:
                _close(new)
                raise
        self._ports_given += len(new)
        self._node.agent.follow(specs)
        _close(gone)
        self._say("read the files again" + "".join(_changes(new, gone)))
        if self._node.agent.rolling:
            self._tell_when_rolled()

    def _tell_when_rolled(self) -> None:
        """Say when all replicas are new. One that does not become ready must not keep later orders waiting."""
        rolled = asyncio.create_task(self._node.agent.rolled())
        self._waiting.add(rolled)
        rolled.add_done_callback(self._all_new)

    def _all_new(self, rolled: asyncio.Task[None]) -> None:
        self._waiting.discard(rolled)
        if not rolled.cancelled() and rolled.exception() is None:
            self._say("rolled: no replica is older than the last order")


def _without(listeners: Sequence[Listener], others: Sequence[Listener]) -> tuple[Listener, ...]:
    known = {listener.service for listener in others}
    return tuple(listener for listener in listeners if listener.service not in known)


def _close(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        listener.socket.close()


def _changes(new: Sequence[Listener], gone: Sequence[Listener]) -> list[str]:
    lines = [f"; {listener.service} is new, on port {listener.port}" for listener in new]
    return lines + [f"; {listener.service} is gone" for listener in gone]
