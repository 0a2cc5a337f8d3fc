"""Places one service's orders of one kind with the cluster, until they are taken.

Deciding never waits for acting: an evaluation only says what is wanted now. While an order cannot be placed it is
tried again with growing pauses, and always with the newest number: an order that waited must not undo a later one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from autoscaler.cluster.interface import Cluster, ClusterError
from autoscaler.decide.decision import Decision

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Placeable(Protocol):
    """An order of any kind: what it wants, as far as two of them can be told apart, and how it is placed."""

    @property
    def service(self) -> str:
        """`namespace/name`."""
        ...

    @property
    def aim(self) -> int:
        """Two orders with the same aim want the same thing."""
        ...

    async def place(self, cluster: Cluster) -> None:
        """Ask the cluster for it. Raises ClusterError."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """So many replicas; when that is fewer than now, `go_first` go first. `decision` is the one that ordered it."""

    service: str
    replicas: int
    go_first: tuple[str, ...] = ()
    decision: Decision | None = None

    @property
    def aim(self) -> int:
        """See Placeable."""
        return self.replicas

    async def place(self, cluster: Cluster) -> None:
        """See Placeable."""
        await cluster.scale(self.service, self.replicas, self.go_first)


@dataclass(frozen=True, slots=True)
class PathOrder:
    """The activator in the path of new connections, or not."""

    service: str
    in_path: bool

    @property
    def aim(self) -> int:
        """See Placeable."""
        return int(self.in_path)

    async def place(self, cluster: Cluster) -> None:
        """See Placeable."""
        await cluster.put_activator(self.service, self.in_path)


AnyOrder = TypeVar("AnyOrder", bound=Placeable)


class Actor(Generic[AnyOrder]):
    """Carries out the newest order of one kind for one service. `placed` and `failed` are called with what came of
    each try."""

    def __init__(
        self,
        cluster: Cluster,
        placed: Callable[[AnyOrder], None],
        failed: Callable[[AnyOrder, str], None],
    ) -> None:
        self._cluster = cluster
        self._placed = placed
        self._failed = failed
        self._wanted: AnyOrder | None = None
        self._changed = asyncio.Event()

    @property
    def pending(self) -> AnyOrder | None:
        """The order that is not placed yet."""
        return self._wanted

    def order(self, order: AnyOrder) -> None:
        """Want this from now on; it replaces what has not been placed."""
        news = self._wanted is None or self._wanted.aim != order.aim
        self._wanted = order
        if news:
            self._changed.set()

    def withdraw(self) -> None:
        """Want nothing any more: what has not been placed is not placed."""
        self._wanted = None

    async def run(self) -> None:
        """Place orders until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            order = self._wanted
            self._changed.clear()
            if order is None:
                await self._changed.wait()
                pause = _FIRST_PAUSE
            elif await self._place(order):
                pause = _FIRST_PAUSE
                if self._wanted is not None and self._wanted.aim == order.aim:
                    self._wanted = None
            elif await self._heard_of_another(pause):
                pause = _FIRST_PAUSE
            else:
                pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _place(self, order: AnyOrder) -> bool:
        try:
            await order.place(self._cluster)
        except ClusterError as error:
            self._failed(order, str(error))
            return False
        except Exception as error:
            # A fault of the cluster's client must not end the orders of this service for good.
            _log.exception("%s: placing an order", order.service)
            self._failed(order, f"{type(error).__name__}: {error}")
            return False
        self._placed(order)
        return True

    async def _heard_of_another(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
