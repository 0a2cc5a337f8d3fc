"""Reflector: a copy of one kind of objects, kept true by a watch.

List, then watch from where the list ended. The copy holds not the objects but what `reduce` makes of them: a few frozen
facts, so that thousands of pods fit into memory and an update that changes none of the facts is no news to anybody.

What costs an API server dearly is the list, so it is repeated only when the server says that it no longer knows what
happened since (410, as an answer or as an event), or keeps answering what cannot be used. A watch that was cut, by the
server's own time-out or by a fault, goes on from the last event or bookmark. Lists come in pages; pauses between tries
grow and are of random length, so that many watchers of a server that comes back do not come back together.

While the server is away the copy stays as it was: old, but not empty.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, objects, text

_log = logging.getLogger(__name__)

Fact = TypeVar("Fact")

_GONE = 410
_NOT_FOUND = 404
# Reducing a pod takes a tenth of a millisecond; decisions shall not wait for a whole page of them.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Resource:
    """What to watch. `optional`: its definition may be absent from the cluster, which then has no such objects."""

    path: str
    label_selector: str = ""
    field_selector: str = ""
    optional: bool = False

    def query(self) -> dict[str, str]:
        """The selectors as parameters of a call."""
        selectors = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: selector for name, selector in selectors.items() if selector}


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, where nothing else is said.

    first_pause, longest_pause  between tries, doubling; what a server that was away takes to be seen again
    page           objects in one page of a list
    list_within    for one page, with all its tries
    watch_seconds  the server ends a watch after this, up to twice as long, so that not all end together
    idle           without even a bookmark, which comes every minute: then the connection is taken for dead
    short_watch    one that ends sooner without an event is a failure: who ends each at once is not to be rushed
    unusable       so many answers in a row that cannot be used, then a new list is the better start
    look_again     how often to look for an optional definition that is absent
    absent         how long one has to be absent until its objects count as gone: a server that has just started
                   answers so for a moment
    """

    first_pause: float = 0.1
    longest_pause: float = 3.0
    page: int = 250
    list_within: float = 60.0
    watch_seconds: int = 300
    idle: float = 150.0
    short_watch: float = 1.0
    unusable: int = 3
    look_again: float = 60.0
    absent: float = 30.0


class _ExpiredError(Exception):
    """The server does not know any more what happened since our last event."""


class _UnusableError(Exception):
    """An event that is none."""


@dataclass(slots=True)
class Counts:
    """What a reflector has done so far."""

    lists: int = 0
    events: int = 0


@dataclass(slots=True)
class _Trouble:
    """Failures since the last good event."""

    failures: int = 0
    unusable: int = 0
    said: str = field(default="")


class Reflector(Generic[Fact]):
    """The facts of all objects of one resource. `changed(key, before, after)` is called for each change, keys are
    `namespace/name`; `synced` is set once the first list is in, after its changes were told."""

    def __init__(
        self,
        connection: Connection,
        resource: Resource,
        reduce: Callable[[JsonObject], Fact | None],
        changed: Callable[[str, Fact | None, Fact | None], None],
        patience: Patience = Patience(),
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`reduce` gives the facts worth keeping of an object, None for an object that is none of ours."""
        self.resource = resource
        self.facts: dict[str, Fact] = {}
        self.synced = asyncio.Event()
        self.counts = Counts()
        self._connection = connection
        self._reduce = reduce
        self._changed = changed
        self._patience = patience
        self._uniform = uniform
        self._version = ""
        self._trouble = _Trouble()
        self._absent_since: float | None = None

    @property
    def in_trouble(self) -> str:
        """Why the copy may be old; empty while all goes well."""
        return self._trouble.said

    async def run(self) -> None:
        """Keep the copy until cancelled."""
        while True:
            try:
                if not self._version:
                    await self._list()
                ended_well = await self._watch()
            except _ExpiredError as error:
                self._version = ""
                await self._failed(f"{error}; listing anew")
            except _UnusableError as error:
                self._trouble.unusable += 1
                if self._trouble.unusable >= self._patience.unusable:
                    self._trouble.unusable, self._version = 0, ""
                await self._failed(str(error))
            except ApiError as error:
                await self._refused(error)
            else:
                if ended_well:
                    await asyncio.sleep(self._patience.first_pause * self._uniform())
                else:
                    await self._failed(f"{self.resource.path}: the watch was ended at once")

    async def _refused(self, error: ApiError) -> None:
        if error.status == _NOT_FOUND and self.resource.optional:
            self._version = ""
            await self._is_absent()
            return
        if error.status == _GONE:
            self._version = ""
        await self._failed(error.message, error.retry_after or 0.0)

    async def _is_absent(self) -> None:
        """Without its definition there are no objects; but those that there were must stay away for a while first."""
        now, patience = asyncio.get_running_loop().time(), self._patience
        self._absent_since = now if self._absent_since is None else self._absent_since
        if not self.facts or now - self._absent_since >= patience.absent:
            self._replace({})
        settled = now - self._absent_since >= patience.absent
        await asyncio.sleep((patience.look_again if settled else patience.absent / 10) * (0.5 + self._uniform()))

    async def _failed(self, why: str, at_least: float = 0.0) -> None:
        """Say it once, and pause: longer each time, of random length."""
        trouble, patience = self._trouble, self._patience
        if trouble.said != why:
            _log.warning("%s", why)
            trouble.said = why
        grown = min(patience.longest_pause, patience.first_pause * 2.0 ** min(trouble.failures, 20))
        trouble.failures += 1
        await asyncio.sleep(at_least + grown * (0.5 + 0.5 * self._uniform()))

    def _well(self) -> None:
        if self._trouble.said:
            _log.info("%s: well again", self.resource.path)
        if self._trouble.failures:
            self._trouble = _Trouble()

    # Listing

    async def _list(self) -> None:
        """Read everything, page by page. What changed meanwhile is told only when all of it is there."""
        found: dict[str, Fact] = {}
        query = {**self.resource.query(), "limit": str(self._patience.page)}
        while True:
            page = await self._connection.request(
                "GET", self.resource.path, query=query, within=self._patience.list_within
            )
            for index, item in enumerate(objects(page, "items")):
                if index % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                fact = self._reduced(item)
                if fact is not None:
                    found[key_of(item)] = fact
            metadata = inner(page, "metadata")
            more = text(metadata, "continue")
            if not more:
                break
            query["continue"] = more
        version = text(metadata, "resourceVersion")
        if not version:
            raise _UnusableError(f"{self.resource.path}: a list without a resourceVersion")
        self.counts.lists += 1
        self._absent_since = None
        self._replace(found)
        self._version = version

    def _replace(self, found: dict[str, Fact]) -> None:
        for key in self.facts.keys() - found.keys():
            self._put(key, None)
        for key, fact in found.items():
            self._put(key, fact)
        self.synced.set()

    def _put(self, key: str, fact: Fact | None) -> None:
        before = self.facts.get(key)
        if before == fact:
            return  # the object that is held stays the same one
        if fact is None:
            del self.facts[key]
        else:
            self.facts[key] = fact
        self._changed(key, before, fact)

    def _reduced(self, item: JsonObject) -> Fact | None:
        try:
            return self._reduce(item)
        except Exception:
            # One odd object must not hide all others.
            _log.exception("%s: %s cannot be read and is left out", self.resource.path, key_of(item))
            return None

    # Watching

    async def _watch(self) -> bool:
        """Follow until the server ends it; False when it did so at once and without an event."""
        patience = self._patience
        query = {
            **self.resource.query(),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(patience.watch_seconds * (1.0 + self._uniform()))),
        }
        loop = asyncio.get_running_loop()
        began, events = loop.time(), self.counts.events
        async with self._connection.stream(self.resource.path, query, patience.idle) as lines:
            holds = loop.call_later(patience.short_watch, self._well)
            try:
                async for line in lines:
                    self._take(line)
                    self.counts.events += 1
                    self._well()
            finally:
                holds.cancel()
        lasted = loop.time() - began >= patience.short_watch
        return lasted or self.counts.events > events

    def _take(self, line: bytes) -> None:
        try:
            event = inner(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise _UnusableError(f"{self.resource.path}: an event that is not JSON") from error
        kind, item = text(event, "type"), inner(event, "object")
        if kind == "ERROR":
            self._error(item)
        version = text(inner(item, "metadata"), "resourceVersion")
        if not version or kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            raise _UnusableError(f"{self.resource.path}: an event of type {kind!r:.40} without what belongs to it")
        if kind != "BOOKMARK":
            self._put(key_of(item), None if kind == "DELETED" else self._reduced(item))
        self._version = version

    def _error(self, status: JsonObject) -> None:
        code, said = number(status, "code"), text(status, "message")[:200]
        if code == _GONE or text(status, "reason") in ("Expired", "Gone"):
            raise _ExpiredError(f"{self.resource.path}: {said}")
        raise _UnusableError(f"{self.resource.path}: the watch ended with {code}: {said}")


def key_of(item: JsonObject) -> str:
    """`namespace/name` of an object."""
    metadata = inner(item, "metadata")
    return f"{text(metadata, 'namespace')}/{text(metadata, 'name')}"
