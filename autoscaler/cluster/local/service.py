"""One service: its wanted number, its replicas, and what happens when one of them is over."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoscaler.cluster.interface import Replica, ServiceView
from autoscaler.cluster.local.host import Host
from autoscaler.cluster.local.replica import Failure, LocalReplica
from autoscaler.cluster.local.restarts import failures_after, restart_delay
from autoscaler.cluster.local.scale_plan import plan_scale
from autoscaler.cluster.local.service_spec import ServiceSpec

logger = logging.getLogger(__name__)

# Kubernetes' alphabet for generated names: no vowels, so no words; nothing that looks like something else.
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(slots=True)
class _Place:
    """The place of one wanted replica: the one that fills it now, and the failures in a row of those before it."""

    replica: LocalReplica
    failures: int
    life: asyncio.Task[None]
    restart: asyncio.TimerHandle | None = None


class LocalService:
    """The replicas of one service on this machine. `changed` is called at every change of `view`."""

    def __init__(self, spec: ServiceSpec, host: Host, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.wanted = 0
        self.ever_ready = False
        self._host = host
        self._tell = changed
        self._places: dict[str, _Place] = {}

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All there are, also those that fail and those that are on their way out, oldest first."""
        return tuple(place.replica.view for place in self._places.values())

    @property
    def view(self) -> ServiceView:
        """What the controller sees."""
        return ServiceView(
            service=self.spec.service,
            inference_service=self.spec.inference_service,
            generation=1,
            wanted=self.wanted,
            replicas=self.replicas,
            activator_in_path=True,
            port=self.spec.port,
            ever_ready=self.ever_ready,
        )

    def gpus_of(self, replica: str) -> tuple[str, ...]:
        """The devices a replica has."""
        place = self._places.get(replica)
        return () if place is None else place.replica.gpus

    def scale(self, wanted: int, go_first: Sequence[str]) -> None:
        """From now on `wanted` replicas. Returns at once; the rest is seen in `view`."""
        self.wanted = wanted
        plan = plan_scale(wanted, self.replicas, go_first)
        for name in plan.stop:
            self._dismiss(name, self.spec.drain_seconds)
        for _ in range(plan.start):
            self._begin(failures=0, why_new=None)
        self._changed()

    async def stop(self, drain_seconds: float) -> None:
        """End all replicas; returns when nothing of them runs."""
        self.wanted = 0
        for name in list(self._places):
            self._dismiss(name, drain_seconds)
        while lives := [place.life for place in self._places.values()]:
            await asyncio.wait(lives)

    def _changed(self) -> None:
        self.ever_ready = self.ever_ready or any(replica.ready_at is not None for replica in self.replicas)
        self._tell()

    def _dismiss(self, name: str, drain_seconds: float) -> None:
        place = self._places[name]
        if place.restart is not None:  # it has failed and nothing of it is left
            place.restart.cancel()
            self._remove(name)
        else:
            place.replica.leave(drain_seconds)

    def _begin(self, failures: int, why_new: str | None) -> None:
        name = self._new_name()
        replica = LocalReplica(self.spec, name, self._host, self._changed, why_new)
        life = asyncio.create_task(self._live(replica), name=f"replica {name}")
        self._places[name] = _Place(replica, failures, life)
        self._changed()

    async def _live(self, replica: LocalReplica) -> None:
        name = replica.view.name
        try:
            failure = await replica.live()
        except Exception as error:  # a fault of ours must not leave a place that nothing fills
            logger.exception("replica %s", name)
            failure = Failure(f"internal error: {error!r}", None)
        place = self._places[name]
        if failure is None or replica.leaving:
            self._remove(name)
            return
        logger.warning("%s: replica %s is over: %s", self.spec.service, name, failure.reason)
        place.failures = failures_after(place.failures, failure.ready_seconds)
        place.restart = asyncio.get_running_loop().call_later(
            restart_delay(place.failures), self._replace, name, failure.reason
        )

    def _replace(self, name: str, reason: str) -> None:
        """The delay is over: a fresh replica takes the place. The old one's reason stays visible until it is ready."""
        failures = self._places[name].failures
        del self._places[name]
        self._begin(failures, f"the one before it failed ({failures} in a row): {reason}")

    def _remove(self, name: str) -> None:
        del self._places[name]
        self._changed()

    def _new_name(self) -> str:
        while True:
            suffix = "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311 - a name, not a secret
            name = f"{self.spec.plan.name}-predictor-{suffix}"
            if name not in self._places:
                return name
