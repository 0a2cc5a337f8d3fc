"""Events on InferenceServices: what was decided and what was refused, where `kubectl describe` shows it.

An event is a courtesy: it must never hold up an order, nor fill etcd. So news are queued and dropped when the queue is
full, the same news of the same service are told again only after a while, and each service has a budget that refills
slowly, as clients of Kubernetes do by custom.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from autoscaler.cluster.interface import News
from autoscaler.cluster.kubernetes.connection import ApiError, Requests
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.json_object import JsonObject

_log = logging.getLogger(__name__)

CONTROLLER = "pilotlight.dev/controller"

_LONGEST_NOTE = 1024
_LONGEST_REASON = 128


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be said.

    queued         news that may wait to be written, of all services
    burst          of one service at once
    refill_seconds until one more of that service
    repeat_seconds before the same is said again
    remembered     news that are remembered as said
    """

    queued: int = 500
    burst: int = 20
    refill_seconds: float = 30.0
    repeat_seconds: float = 600.0
    remembered: int = 20_000


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class EventRecorder:
    """Takes news at any time and writes them one after the other while `run` runs."""

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
        self._queue: asyncio.Queue[tuple[InferenceServiceFacts, News]] = asyncio.Queue(budget.queued)
        self._said: OrderedDict[tuple[str, News], float] = OrderedDict()
        self._allowances: dict[str, _Allowance] = {}
        self.dropped = 0

    def tell(self, about: InferenceServiceFacts, news: News) -> None:
        """Say it, if it was not said a moment ago and the service has not said too much."""
        now = self._clock()
        key = (about.uid, news)
        said = self._said.get(key)
        if said is not None and now - said < self._budget.repeat_seconds:
            return
        if not self._allowed(about.uid, now) or self._queue.full():
            self.dropped += 1
            return
        self._said[key] = now
        self._said.move_to_end(key)
        while len(self._said) > self._budget.remembered:
            self._said.popitem(last=False)
        self._queue.put_nowait((about, news))

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._allowances.pop(uid, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            about, news = await self._queue.get()
            path = f"/apis/events.k8s.io/v1/namespaces/{about.namespace}/events"
            try:
                await self._connection.request("POST", path, body=self._body(about, news), within=10.0)
            except ApiError as error:
                self.dropped += 1
                _log.warning("%s: an event could not be written: %s", about.service, error.message)

    def _allowed(self, uid: str, now: float) -> bool:
        budget = self._budget
        allowance = self._allowances.setdefault(uid, _Allowance(budget.burst, now))
        refilled = max(0.0, now - allowance.at) / budget.refill_seconds
        allowance.left, allowance.at = min(budget.burst, allowance.left + refilled), now
        if allowance.left < 1.0:
            return False
        allowance.left -= 1.0
        return True

    def _body(self, about: InferenceServiceFacts, news: News) -> JsonObject:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{secrets.token_hex(8)}", "namespace": about.namespace},
            "eventTime": at,
            "type": "Warning" if news.warning else "Normal",
            "reason": news.reason[:_LONGEST_REASON],
            "action": news.action[:_LONGEST_REASON],
            "note": _cut(news.message),
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


def _cut(message: str) -> str:
    """The API server counts bytes."""
    data = message.encode()
    return message if len(data) <= _LONGEST_NOTE else data[: _LONGEST_NOTE - 3].decode(errors="ignore") + "…"
