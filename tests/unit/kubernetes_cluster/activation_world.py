"""An Activation that leads, over a store in memory, with one service and two activators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autoscaler.cluster.kubernetes.activation import Activation
from autoscaler.cluster.kubernetes.activation_settings import ActivationSettings
from autoscaler.cluster.kubernetes.path_state import Subject
from autoscaler.cluster.kubernetes.slices import SliceFacts
from autoscaler.cluster.kubernetes.write_turns import WRITES_AT_ONCE, WriteTurns
from tests.unit.kubernetes_cluster.activation_store import CHAT, ONE, TARGET, TWO, MemoryStore, activators

UP = Subject(TARGET, managed=True, replicas=1, ready=1)
ASLEEP = Subject(TARGET, managed=True, replicas=0, ready=0)


class World:
    """An Activation that leads, over a store, with one service."""

    def __init__(self, store: MemoryStore, settings: ActivationSettings, at_once: int) -> None:
        self.store = store
        self.handed_back: list[str] = []
        self.changes: list[str] = []
        self.turns = WriteTurns(at_once)
        self.activation = Activation(store, self._hand_back, self.changes.append, self.turns, settings)
        self._leading: asyncio.Task[None] | None = None

    async def _hand_back(self, service: str) -> None:
        self.handed_back.append(service)

    async def lead(self) -> None:
        self._leading = asyncio.create_task(self.activation.lead())
        await self.activation.leading.wait()

    async def follow(self) -> None:
        assert self._leading is not None
        self._leading.cancel()
        await asyncio.gather(self._leading, return_exceptions=True)

    @property
    def slice(self) -> SliceFacts:
        return self.store.stored["default", "chat-pilotlight"]

    @property
    def addresses(self) -> list[str]:
        return [endpoint.address for endpoint in self.slice.endpoints]

    @property
    def fallback(self) -> list[str]:
        return [endpoint.address for endpoint in self.slice.fallback]

    def writes(self) -> list[str]:
        return [what for _, what, _ in self.store.writes]


@asynccontextmanager
async def world(
    subject: Subject | None = UP,
    store: MemoryStore | None = None,
    settings: ActivationSettings = ActivationSettings(),  # noqa: B008
    at_once: int = WRITES_AT_ONCE,
) -> AsyncIterator[World]:
    there = World(store or MemoryStore(), settings, at_once)
    running = asyncio.create_task(there.activation.run())
    for facts in there.store.stored.values():
        there.store.slice_changed(None, facts)
    there.store.activators_changed(activators(ONE, TWO))
    if subject is not None:
        there.activation.service(CHAT, subject)
    await there.lead()
    await asyncio.sleep(0.5)
    try:
        yield there
    finally:
        await there.follow()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
