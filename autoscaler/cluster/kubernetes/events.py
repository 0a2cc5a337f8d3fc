"""Events on InferenceServices: what was decided and what was refused, where `kubectl describe` shows it.

An event is a courtesy: it must never hold up an order, nor fill etcd. So events are queued, and dropped when the queue
is full; those of one service that say the same are one object that counts, written no more often than every ten
seconds; and each service has a budget of events that refills slowly, as clients of Kubernetes do by custom.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from autoscaler.cluster.interface import ServiceEvent
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import MERGE_PATCH, Requests
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.json_object import JsonObject

_log = logging.getLogger(__name__)

CONTROLLER = "pilotlight.dev/controller"

_WRITE_SECONDS = 10.0
_NOT_FOUND = 404
_LONGEST_NOTE = 1024
_LONGEST_REASON = 128


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be said.

    queued         events that may wait to be written, of all services
    burst          new ones of one service at once
    refill_seconds until one more of that service
    series_seconds without the same again that end a series: then it is a new event again
    count_seconds  from one writing of a series' count to the next
    remembered     events that are remembered as written
    """

    queued: int = 500
    burst: int = 20
    refill_seconds: float = 30.0
    series_seconds: float = 600.0
    count_seconds: float = 10.0
    remembered: int = 20_000


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


@dataclass(slots=True)
class _Series:
    """The same event of one object: when it was told first and last, how often, and its name once there is one.

    waits  it is in the queue, or will be
    """

    about: InferenceServiceFacts
    event: ServiceEvent
    first: float
    last: float
    count: int = 1
    name: str = ""
    written_at: float = -math.inf
    waits: bool = False


_Key = tuple[str, ServiceEvent]


class EventRecorder:
    """Takes events at any time and writes them one after the other while `run` runs."""

    def __init__(
        self,
        connection: Requests,
        instance: str,
        clock: Callable[[], float],
        budget: Budget = Budget(),
    ) -> None:
        """`instance` names this process; `clock` gives seconds since 1970."""
        self._connection = connection
        self._instance = instance
        self._clock = clock
        self._budget = budget
        self._queue: asyncio.Queue[_Key] = asyncio.Queue(budget.queued)
        self._told: OrderedDict[_Key, _Series] = OrderedDict()
        self._allowances: dict[str, _Allowance] = {}
        self.dropped = 0

    def tell(self, about: InferenceServiceFacts, event: ServiceEvent) -> None:
        """Say it: count it where it was said before, write it anew where the service has not said too much."""
        now, key = self._clock(), (about.uid, event)
        series = self._told.get(key)
        if series is not None and now - series.last < self._budget.series_seconds:
            series.count += 1
            series.last = now
            self._told.move_to_end(key)
            self._count_soon(key, series, now)
            return
        if not self._allowed(about.uid, now) or self._queue.full():
            self.dropped += 1
            return
        self._told[key] = series = _Series(about, event, now, now)
        self._told.move_to_end(key)
        while len(self._told) > self._budget.remembered:
            self._told.popitem(last=False)
        self._wait(key, series)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._allowances.pop(uid, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            key = await self._queue.get()
            series = self._told.get(key)
            if series is None or not series.waits:  # forgotten, and perhaps told again and written since
                continue
            series.waits, series.written_at = False, self._clock()
            try:
                await self._write(series)
            except ApiError as error:
                # Should it be said again, it may be tried again.
                self._told.pop(key, None)
                self.dropped += 1
                _log.warning("%s: an event could not be written: %s", series.about.service, error.message)

    def _count_soon(self, key: _Key, series: _Series, now: float) -> None:
        if series.waits:
            return
        series.waits = True
        pause = max(0.0, series.written_at + self._budget.count_seconds - now)
        asyncio.get_running_loop().call_later(pause, self._wait, key, series)

    def _wait(self, key: _Key, series: _Series) -> None:
        # When too many wait, its number is written with the next of its kind.
        series.waits = not self._queue.full()
        if series.waits:
            self._queue.put_nowait(key)

    async def _write(self, series: _Series) -> None:
        """Create the event, or write how often it has been told. Raises ApiError."""
        events = f"/apis/events.k8s.io/v1/namespaces/{series.about.namespace}/events"
        if series.name:
            counted = {"series": {"count": series.count, "lastObservedTime": _time(series.last)}}
            try:
                await self._connection.request(
                    "PATCH", f"{events}/{series.name}", body=counted, content_type=MERGE_PATCH, within=_WRITE_SECONDS
                )
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise
                # Events are kept for an hour only.
                series.name, series.count, series.first = "", 1, series.last
        if not series.name:
            name, count = f"{series.about.name}.{secrets.token_hex(8)}", series.count
            body = self._body(series.about, series.event, name, series.first)
            await self._connection.request("POST", events, body=body, within=_WRITE_SECONDS)
            series.name = name
            if count > 1:  # counted while it waited
                self._count_soon((series.about.uid, series.event), series, self._clock())

    def _allowed(self, uid: str, now: float) -> bool:
        budget = self._budget
        allowance = self._allowances.setdefault(uid, _Allowance(budget.burst, now))
        refilled = max(0.0, now - allowance.at) / budget.refill_seconds
        allowance.left, allowance.at = min(budget.burst, allowance.left + refilled), now
        if allowance.left < 1.0:
            return False
        allowance.left -= 1.0
        return True

    def _body(self, about: InferenceServiceFacts, event: ServiceEvent, name: str, at: float) -> JsonObject:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": about.namespace},
            "eventTime": _time(at),
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason[:_LONGEST_REASON],
            "action": event.action[:_LONGEST_REASON],
            "note": _cut(event.message),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:_LONGEST_REASON],
            "regarding": {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
        }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _cut(message: str) -> str:
    """The API server counts bytes."""
    data = message.encode()
    return message if len(data) <= _LONGEST_NOTE else data[: _LONGEST_NOTE - 3].decode(errors="ignore") + "…"
