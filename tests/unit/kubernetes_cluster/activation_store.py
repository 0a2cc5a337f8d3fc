"""Slices in memory, kept as an API server keeps them: versions, conflicts, refusals, watches that may lag."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from autoscaler.cluster.kubernetes.activator_pods import Activators
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.json_object import inner
from autoscaler.cluster.kubernetes.slices import Endpoint, LedPort, SliceFacts, Target, Wanted, slice_of

CHAT = "default/chat"
TARGET = Target("chat-predictor", "uid-1", (LedPort("http"),), ("IPv4",))
ONE = Endpoint("10.1.0.1", "node-1")
TWO = Endpoint("10.1.0.2", "node-2")


def activators(*endpoints: Endpoint, ready: bool = True) -> Activators:
    return Activators(endpoints, frozenset(endpoint.address for endpoint in endpoints if ready))


class MemoryStore:
    """A Store. `lag` is how long a watch needs to tell of a write; each write takes 10 ms."""

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self.slice_changed: Callable[[SliceFacts | None, SliceFacts | None], None] = lambda before, after: None
        self.activators_changed: Callable[[Activators], None] = lambda activators: None
        self.stored: dict[tuple[str, str], SliceFacts] = {}
        self.writes: list[tuple[float, str, str]] = []
        self.lag = 0.02
        self.refuse: ApiError | None = None
        self.asked = 0
        self.under_way = 0
        self.most_at_once = 0
        self._version = 100

    async def run(self) -> None:
        self.synced.set()
        await asyncio.Event().wait()

    def activator_heard(self, name: str, *, speaks: bool) -> None:
        """Who is named is said by `activators_changed` alone."""

    def listen_anew(self) -> None:
        """Nobody is silent here."""

    def put(self, namespace: str, facts: SliceFacts) -> None:
        """Somebody writes it: us, or anybody else."""
        before = self.stored.get((namespace, facts.name))
        self._version += 1
        facts = replace(facts, version=str(self._version))
        self.stored[namespace, facts.name] = facts
        asyncio.get_running_loop().call_later(self.lag, lambda: self.slice_changed(before, facts))

    def drop(self, namespace: str, name: str) -> None:
        """Somebody deletes it."""
        before = self.stored.pop((namespace, name))
        asyncio.get_running_loop().call_later(self.lag, lambda: self.slice_changed(before, None))

    async def write(self, namespace: str, wanted: Wanted, replaces: SliceFacts | None) -> SliceFacts | None:
        await self._asked("POST" if replaces is None else "PUT", wanted.name)
        there = self.stored.get((namespace, wanted.name))
        if replaces is None and there is not None:
            return there
        if replaces is not None and (there is None or there.version != replaces.version):
            return there
        facts = slice_of(wanted.body())
        assert facts is not None
        assert inner(wanted.body(), "metadata")["namespace"] == namespace
        created = f"2026-11-21T10:00:{self._version % 60:02}Z" if there is None else there.created
        self.put(namespace, replace(facts, created=created))
        return self.stored[namespace, wanted.name]

    async def delete(self, namespace: str, facts: SliceFacts) -> None:
        await self._asked("DELETE", facts.name)
        there = self.stored.get((namespace, facts.name))
        if there is None:
            return
        if there.version != facts.version:
            raise ApiError(409, "Conflict", "it has been modified")
        self.drop(namespace, facts.name)

    async def _asked(self, what: str, name: str) -> None:
        self.asked += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(0.01)
        finally:
            self.under_way -= 1
        if self.refuse is not None:
            raise self.refuse
        self.writes.append((asyncio.get_running_loop().time(), what, name))
