"""Profiles: the one ConfigMap that policies may come from, followed like everything else.

Whoever edits it edits the policies of many services at once, and no webhook looks at a ConfigMap. So a profile that
cannot be read any more, or is not there any more, stays as it was for the services that name it, until it is put right
or they name another; the mistake is shown with each of them and as trouble of the cluster.

Not to know the profiles is no reason to scale nobody. A controller that may not list them, as one whose image is newer
than its Role, goes on without: services that name one are left alone until they come, all others are scaled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator

from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.cluster.kubernetes.reflector import Patience, Reflector, Resource
from autoscaler.policy.errors import PolicyError, Source
from autoscaler.policy.profiles import CONFIG_MAP, NO_PROFILES, Profiles, following, read_profiles

_log = logging.getLogger(__name__)

# Then it goes on without. A slow API server lists one object within that, too; somebody may wait for a wake meanwhile.
_WAIT_SECONDS = 5.0


class ProfilesCopy:
    """`in_force` is what services go by; `changed` is called after it became another. `settled` is set once the first
    list was read, or has been waited for long enough."""

    def __init__(self, connection: Connection, namespace: str, changed: Callable[[], None], patience: Patience) -> None:
        self.in_force = Profiles(unread="the API server has not told of them yet")
        self.settled = asyncio.Event()
        self._where = f"ConfigMap {namespace}/{CONFIG_MAP}"
        self._changed = changed
        self._named: Counter[str] = Counter()
        self._latest: JsonObject | None = None
        self._news = asyncio.Event()
        # By its name alone, for that is all that the controller may read.
        resource = Resource(f"/api/v1/namespaces/{namespace}/configmaps", field_selector=f"metadata.name={CONFIG_MAP}")
        self._reflector: Reflector[JsonObject] = Reflector(connection, resource, _data, self._written, patience)

    async def run(self) -> None:
        """Keep the copy until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reflector.run(), name=f"reflect {self._reflector.resource.path}")
            group.create_task(self._read(), name="read profiles")

    def named_by(self, before: InferenceServiceFacts | None, after: InferenceServiceFacts | None) -> None:
        """An InferenceService names a profile, or does not any more."""
        for facts, times in ((before, -1), (after, 1)):
            if facts is not None and facts.profile:
                self._named[facts.profile] += times
                if not self._named[facts.profile]:
                    del self._named[facts.profile]

    @property
    def in_trouble(self) -> Iterator[str]:
        """Of which profiles that somebody names what is in force is old, and why all may be old or are unknown."""
        for name in sorted(self._named):
            profile = self.in_force.by_name.get(name)
            if profile is not None and profile.superseded_by:
                why = "; ".join(map(str, profile.superseded_by))
                yield f"profile {name} is in force as it was before: {why}"
        if self.in_force.unread and self.settled.is_set():
            yield f"services that name a profile are not scaled: {self.in_force.unread}"
        elif self._reflector.in_trouble:
            yield self._reflector.in_trouble

    def _written(self, key: str, before: JsonObject | None, after: JsonObject | None) -> None:
        self._latest = after
        self._news.set()

    async def _read(self) -> None:
        """Read what is written, one after the other and the latest last; what was overtaken meanwhile is not read."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._reflector.synced.wait()
        except TimeoutError:
            self._go_on_without()
            await self._reflector.synced.wait()
        self._news.set()  # none is news, too
        while True:
            await self._news.wait()
            self._news.clear()
            self._take(await self._read_aside(self._latest))

    async def _read_aside(self, config_map: JsonObject | None) -> Profiles:
        """In a thread: a large one takes more than a second, for which decisions shall not wait."""
        if config_map is None:
            return NO_PROFILES
        try:
            return await asyncio.to_thread(read_profiles, config_map)
        except Exception as error:
            _log.exception("%s cannot be read", self._where)
            why = f"cannot be read: {type(error).__name__}"
            return Profiles({}, (PolicyError("data", "", Source(self._where), "", why),))

    def _take(self, read: Profiles) -> None:
        for error in read.all_errors:
            _log.warning("%s: %s", self._where, error)
        self._put(following(read, self.in_force, self._named))
        _log.info("%s: %d profiles in force", self._where, len(self.in_force.by_name))

    def _go_on_without(self) -> None:
        why = self._reflector.in_trouble or f"{self._where} was not listed within {_WAIT_SECONDS:g} s"
        unread = f"{why}; if that stays so, apply the manifests of this version, whose Role lets the controller read it"
        _log.warning("going on without profiles, services that name one are left alone: %s", unread)
        self._put(Profiles(unread=unread))

    def _put(self, profiles: Profiles) -> None:
        self.in_force = profiles
        self.settled.set()
        self._changed()


def _data(config_map: JsonObject) -> JsonObject:
    """What profiles are read from; the rest of the object is no news."""
    return {"data": config_map["data"]} if "data" in config_map else {}
