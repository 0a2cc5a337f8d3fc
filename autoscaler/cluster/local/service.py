"""One service: its wanted number, its replicas, and what happens when one of them is over."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
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
    """The place of one wanted replica: the one that fills it now, and the failures in a row of those before it.

    `revision` is the service's at the time when the replica was begun.
    """

    replica: LocalReplica
    revision: int
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
        self._generation = 1
        self._revision = 1
        self._roll: asyncio.Task[None] | None = None
        # The old replica and the new one that shall take its place: together they count as one.
        self._exchanged: tuple[str, str] | None = None
        self._turn = asyncio.Event()

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
            generation=self._generation,
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
        old, new = self._exchanged or (None, None)
        plan = plan_scale(wanted, [replica for replica in self.replicas if replica.name != old], go_first)
        for name in plan.stop:
            self._dismiss(name, self.spec.drain_seconds)
            if name == new and old is not None:
                self._dismiss(old, self.spec.drain_seconds)
        for _ in range(plan.start):
            self._begin(failures=0, why_new=None)
        self._changed()

    def follow(self, spec: ServiceSpec) -> None:
        """The object was edited. Its policy counts at once; replicas of another make are replaced one by one."""
        before, self.spec = self.spec, spec
        if before.inference_service != spec.inference_service:
            self._generation += 1
        if before.make != spec.make:
            self.ever_ready = False
            self.roll()
        self._changed()

    def roll(self) -> None:
        """Replace every replica by a new one, one after the other: the old one goes when the new one is ready."""
        self._revision += 1
        self._changed()
        if not self.rolling:
            self._roll = asyncio.create_task(self._replace_outdated(), name=f"roll {self.spec.service}")

    @property
    def rolling(self) -> bool:
        """Whether a replica is, or may be, older than the last `roll`."""
        return self._roll is not None and not self._roll.done()

    async def rolled(self) -> None:
        """Returns when no replica is older than the last `roll`."""
        if self._roll is not None:
            await asyncio.wait({self._roll})

    async def stop(self, drain_seconds: float) -> None:
        """End all replicas; returns when nothing of them runs."""
        self.wanted = 0
        if self._roll is not None:
            self._roll.cancel()
        for name in list(self._places):
            self._dismiss(name, drain_seconds)
        # A life that was cancelled from outside leaves its place standing: waiting for it again would never end.
        while lives := [place.life for place in self._places.values() if not place.life.done()]:
            await asyncio.wait(lives)

    def kill(self) -> None:
        """Have all replicas end now; `stop` tells when they have."""
        for place in self._places.values():
            place.replica.kill()

    def _changed(self) -> None:
        self.ever_ready = self.ever_ready or any(replica.ready_at is not None for replica in self.replicas)
        self._turn.set()
        self._turn = asyncio.Event()
        self._tell()

    async def _replace_outdated(self) -> None:
        while old := self._next_outdated():
            if self._places[old].replica.view.phase is ReplicaPhase.READY:
                await self._exchange(old)
            else:  # it serves nobody: there is nothing to wait for
                self._dismiss(old, self.spec.drain_seconds)
                self._begin(failures=0, why_new=None)

    def _next_outdated(self) -> str | None:
        outdated = [name for name, place in self._places.items() if place.revision < self._revision]
        standing = [name for name in outdated if not self._places[name].replica.leaving]
        # Those that are not ready go first: they cost nobody anything, and a spec that is put right shows it at once.
        return min(standing, key=lambda name: self._places[name].replica.view.phase is ReplicaPhase.READY, default=None)

    async def _exchange(self, old: str) -> None:
        """One more replica than wanted until it is ready; then the old one drains. Without a GPU for one more, the old
        one has to go first."""
        revision = self._revision
        self._exchanged = (old, self._begin(failures=0, why_new=None))
        try:
            while self._exchange_waits(old, revision):
                await self._turn.wait()
            superseded = self._revision != revision
            going = self._exchanged[1] if superseded else old
        finally:
            self._exchanged = None
        if self._stands(going):
            self._dismiss(going, self.spec.drain_seconds)
        while not superseded and old in self._places:
            await self._turn.wait()

    def _exchange_waits(self, old: str, revision: int) -> bool:
        assert self._exchanged is not None
        new = self._exchanged[1]
        if self._revision != revision or not self._stands(old) or not self._stands(new):
            return False
        replica = self._places[new].replica
        return replica.view.phase is not ReplicaPhase.READY and not replica.waits_for_gpus

    def _stands(self, name: str) -> bool:
        return name in self._places and not self._places[name].replica.leaving

    def _dismiss(self, name: str, drain_seconds: float) -> None:
        place = self._places[name]
        if place.restart is not None:  # it has failed and nothing of it is left
            place.restart.cancel()
            self._remove(name)
        else:
            place.replica.leave(drain_seconds)

    def _begin(self, failures: int, why_new: str | None) -> str:
        name = self._new_name()
        replica = LocalReplica(self.spec, name, self._host, self._changed, why_new)
        life = asyncio.create_task(self._live(replica), name=f"replica {name}")
        self._places[name] = _Place(replica, self._revision, failures, life)
        self._changed()
        return name

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
        anew = self._begin(failures, f"the one before it failed ({failures} in a row): {reason}")
        if self._exchanged is not None and self._exchanged[1] == name:
            self._exchanged = (self._exchanged[0], anew)

    def _remove(self, name: str) -> None:
        del self._places[name]
        self._changed()

    def _new_name(self) -> str:
        while True:
            suffix = "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311 - a name, not a secret
            name = f"{self.spec.plan.name}-predictor-{suffix}"
            if name not in self._places:
                return name
