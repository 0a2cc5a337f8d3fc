"""Leading: who of several controllers acts, and that it stops in time.

One at a time, by a Lease (see `lease`). `run` calls `lead` when it has the lease, and cancels it when the lease could
not be renewed in time; then it stands by again, with all that it knows still warm. At an orderly end `lead` is ended
first and the lease given up then, so the next one takes over with its next look.

That a controller which was stopped for a while, or cut off, finds out only afterwards cannot be helped by any lease. So
what writes does it through a `Fence`, which looks at the clock at each call; and writes name the version that they
replace wherever an old one could do harm.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Requests
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.cluster.kubernetes.lease import Candidate, LeaseRecord, LeaseSettings, lease_record

_log = logging.getLogger(__name__)

_CONFLICT = 409
_NOT_FOUND = 404
_GIVE_UP_SECONDS = 1.0
# No answer comes in so short a time; and what is left of a float's rounding is no time at all.
_TOO_LATE_TO_ASK = 0.005


def steady_clock() -> float:
    """Seconds that go on while the machine sleeps: a lease does not wait for a laptop that was closed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Elector:
    """One candidate for one Lease, `namespace/name`. No two candidates may have the same `identity`."""

    def __init__(
        self,
        requests: Requests,
        namespace: str,
        name: str,
        identity: str,
        settings: LeaseSettings,
        clock: Callable[[], float] = steady_clock,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._namespace = namespace
        self._name = name
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._candidate = Candidate(identity, settings)
        self._problem = ""
        self.terms = 0
        self.identity = identity

    @property
    def leader(self) -> str:
        """Who holds the lease, as last seen; empty: nobody, or unknown."""
        return self._candidate.holder

    @property
    def problem(self) -> str:
        """Why the lease can be neither read nor written; empty while it can."""
        return self._problem

    @property
    def acts_for(self) -> float:
        """Seconds for which we may still act without another renewal; negative when we may not."""
        return self._candidate.acts_until() - self._clock()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Stand by, and `lead` whenever we hold the lease, until cancelled or until `lead` comes to an end by itself.

        Raises what `lead` raises.
        """
        while True:
            while not await self._try():
                await self._pause()
            self.terms += 1
            _log.info("%s leads now", self.identity)
            if await self._term(lead):
                return
            _log.warning("%s leads no longer: %s", self.identity, self._problem or "the lease went to somebody else")

    async def _term(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """One term; True when it ended by its own will."""
        leading = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew_while_possible())
        try:
            await asyncio.wait((leading, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First nothing acts any more, then the lease is somebody else's.
            ended = leading.done()
            for task in (leading, renewing):
                task.cancel()
            await asyncio.gather(leading, renewing, return_exceptions=True)
            await asyncio.shield(self._give_up())
        if ended:
            await leading
        return ended

    async def _renew_while_possible(self) -> None:
        while self.acts_for > _TOO_LATE_TO_ASK:
            await self._pause()
            if not await self._try() and self.leader != self.identity:
                return

    async def _pause(self) -> None:
        """Up to a fifth longer than `retry`; never longer than we may act."""
        pause = self._settings.retry * random.uniform(1.0, 1.2)  # noqa: S311
        left = self.acts_for
        await asyncio.sleep(min(pause, left) if left > 0.0 else pause)

    async def _try(self) -> bool:
        """Get or keep the lease; True when that went well."""
        within = self._settings.retry * 2.0 if self.acts_for <= 0.0 else min(self._settings.retry * 2.0, self.acts_for)
        try:
            async with asyncio.timeout(within):
                won = await self._bid()
        except (ApiError, TimeoutError) as error:
            why = error.message if isinstance(error, ApiError) else f"no answer within {within:g} s"
            if why != self._problem:
                _log.warning("lease %s/%s: %s", self._namespace, self._name, why)
            self._problem = why
            return False
        self._problem = ""
        return won

    async def _bid(self) -> bool:
        candidate = self._candidate
        # Who holds it knows what it says, unless the API server disagrees.
        if candidate.holder != self.identity:
            record = await self._read()
            candidate.see(record, self._clock())
        asked_at = self._clock()
        bid = candidate.bid(asked_at, self._wall_clock())
        if bid is None:
            return False
        try:
            candidate.won(await self._write(bid), asked_at)
        except ApiError as error:
            if error.status in (_CONFLICT, _NOT_FOUND):
                candidate.see(await self._read(), self._clock())
                return False
            raise
        return True

    async def _read(self) -> LeaseRecord | None:
        try:
            return lease_record(await self._requests.request("GET", self._path, within=self._settings.retry))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def _write(self, record: LeaseRecord) -> LeaseRecord:
        body = record.body(self._namespace, self._name)
        method, path = ("PUT", self._path) if record.version else ("POST", self._collection)
        return lease_record(await self._requests.request(method, path, body=body, within=self._settings.retry))

    async def _give_up(self) -> None:
        """Let the next one begin at once; if that cannot be said, it waits for the lease to end."""
        record = self._candidate.resign()
        if record is None:
            return
        try:
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                self._candidate.see(await self._write(record), self._clock())
        except (ApiError, TimeoutError) as error:
            _log.info("lease %s/%s could not be given up: %s", self._namespace, self._name, error)
            self._candidate.see(None, self._clock())

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._name}"


class Fence:
    """Calls to the API server that may change something, as long as we lead and not a moment longer."""

    def __init__(self, requests: Requests, acts_for: Callable[[], float]) -> None:
        """`acts_for` gives the seconds for which we may still act."""
        self._requests = requests
        self._acts_for = acts_for

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        within: float = 5.0,
    ) -> JsonObject:
        """See Connection.request. Raises ApiError, also when we do not lead (any more)."""
        left = self._acts_for()
        if left <= 0.0:
            raise ApiError(0, "NotLeading", f"{method} {path}: another controller may lead by now", sent=False)
        return await self._requests.request(
            method, path, query=query, body=body, content_type=content_type, within=min(within, left)
        )
