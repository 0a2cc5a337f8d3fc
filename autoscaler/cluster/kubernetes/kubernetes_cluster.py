"""KubernetesCluster: InferenceServices and what KServe made of them as ServiceViews, and orders as writes.

Following and leading are two things. As long as it is open, copies of everything are kept, on every controller, so that
one that takes over is warm. `watch` is called by the one that leads: only while it runs is anything written.

Changes come in bursts: a wake touches a Deployment, its pods and our slice a dozen times within a second. The first
change is told at once, because somebody may be waiting for it; those that follow are told together a moment later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

from autoscaler.cluster.interface import ClusterError, ReplicaPhase, ServiceEvent, ServiceView
from autoscaler.cluster.kubernetes.activation import Activation
from autoscaler.cluster.kubernetes.copies import Copies, Objects
from autoscaler.cluster.kubernetes.events import EventRecorder
from autoscaler.cluster.kubernetes.facts import PodFacts
from autoscaler.cluster.kubernetes.ownership import refusals
from autoscaler.cluster.kubernetes.path_state import Subject
from autoscaler.cluster.kubernetes.scaling import Scaling, goes_first
from autoscaler.cluster.kubernetes.slices import target_of
from autoscaler.cluster.kubernetes.views import ready_now, view_of
from autoscaler.policy.names import SCALING

_log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.02
# Views that are made in one go: a thousand would keep the event loop from renewing the Lease, and from wakes.
_IN_ONE_GO = 50
_HANDED_BACK = ServiceEvent(
    "HandedBack", "Scale", "Started with 1 replica, because it was asleep and is not ours to scale any more"
)


MakePaths = Callable[[Callable[[str], Awaitable[None]], Callable[[str], None]], Activation]
"""Given what hands a service back awake, and what is to be called when a path changes."""


class KubernetesCluster:
    """A Cluster. Use it as an asynchronous context manager."""

    def __init__(
        self,
        make_copies: Callable[[Callable[[str], None]], Copies],
        make_paths: MakePaths,
        scaling: Scaling,
        events: EventRecorder,
    ) -> None:
        self._touched: dict[str, None] = {}
        self._news = asyncio.Event()
        self._copies = make_copies(self._touch)
        self._paths = make_paths(self._hand_back, self._touch)
        self._scaling = scaling
        self._events = events
        self._views: dict[str, ServiceView] = {}
        self._shown: tuple[ServiceView, ...] = ()
        self._uids: dict[str, str] = {}
        self._clearing: dict[str, asyncio.Task[None]] = {}
        self._ordered: dict[str, int] = {}
        self._watching = False
        self._following: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> tuple[str, ...]:
        """See Cluster.trouble."""
        return self._copies.in_trouble

    async def __aenter__(self) -> KubernetesCluster:
        self._following = [asyncio.create_task(self._copies.run()), asyncio.create_task(self._paths.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await _cancelled(self._following)

    async def synced(self) -> None:
        """Returns once everything has been seen: from then on this controller could lead."""
        await _unless(self._following, self._copies.synced())
        await _unless(self._following, self._paths.synced.wait())

    # Showing

    async def watch(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        """See Cluster.watch. Leads as long as it is iterated."""
        await self.synced()
        for service in tuple(self._copies.names):
            self._touch(service)
        await self._rebuild()  # whoever leads allots ports, and has to know for whom
        writing = [asyncio.create_task(self._paths.lead()), asyncio.create_task(self._events.run())]
        self._watching = True
        try:
            needed = [*self._following, *writing]
            await _unless(needed, self._paths.leading.wait())
            await self._rebuild()
            yield self._shown
            while True:
                await asyncio.sleep(_GATHER_SECONDS)
                await _unless(needed, self._news.wait())
                if await self._rebuild():
                    yield self._shown
        finally:
            self._watching = False
            await _cancelled([*writing, *self._clearing.values()])

    def _touch(self, service: str) -> None:
        self._touched[service] = None
        self._news.set()

    async def _rebuild(self) -> bool:
        """Make the views of what was touched anew, with pauses; True when one of them is another."""
        changed = False
        self._news.clear()
        touched, self._touched = self._touched, {}
        for number, service in enumerate(touched, 1):
            if number % _IN_ONE_GO == 0:
                await asyncio.sleep(0)
            before = self._views.get(service)
            try:
                after = self._view(service)
            except Exception:
                # One odd object must not keep all others from being shown; its service stays as it was.
                _log.exception("%s: its objects cannot be read", service)
                continue
            if before == after:
                continue  # the object that was shown stays the same one
            changed = True
            if after is None:
                del self._views[service]
            else:
                self._views[service] = after
        if changed:
            self._shown = tuple(self._views.values())
        return changed

    def _view(self, service: str) -> ServiceView | None:
        facts = self._copies.inference_service(service)
        if facts is None or (not facts.asked_for and self._paths.released(service)):
            self._paths.service(service, None)
            self._events.forget(self._uids.pop(service, ""))
            self._ordered.pop(service, None)
            return None
        self._uids[service] = facts.uid
        objects = self._copies.of(facts)
        path, profiles = self._paths.path(service), self._copies.profiles
        view = view_of(facts, objects.deployment, objects.pods, path, refusals(objects), profiles)
        self._paths.service(service, _subject(objects, view))
        if self._watching:
            self._clear_costs(service, objects)
        return view

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """See Copies.pod."""
        return self._copies.pod(namespace, name)

    def address_told(self, namespace: str, pod: str, uid: str, address: str) -> bool:
        """See Copies.address_told."""
        return self._copies.address_told(namespace, pod, uid, address)

    # Orders

    async def scale(self, service: str, replicas: int, go_first: Sequence[str]) -> None:
        """See Cluster.scale. Raises ClusterError."""
        objects = self._objects(service)
        refused = refusals(objects)
        if refused:
            raise ClusterError(f"{service} may not be scaled: {refused[0].message}")
        if not objects.inference_service.managed:
            raise ClusterError(f"{service} is not to be scaled: {SCALING} says otherwise")
        if replicas == 0:
            self._paths.check_may_sleep(service)
        await self._write(objects, replicas, go_first)

    async def put_activator(self, service: str, in_path: bool) -> None:
        """See Cluster.put_activator. Raises ClusterError."""
        await self._paths.put(service, in_path)

    def record_policy(self, service: str, policy: str) -> None:
        """See Cluster.record_policy: an annotation of our EndpointSlice."""
        self._paths.record_policy(service, policy)

    def activator_heard(self, activator: str, *, speaks: bool) -> None:
        """See Cluster.activator_heard."""
        self._paths.activator_heard(activator, speaks=speaks)

    def tell(self, service: str, event: ServiceEvent) -> None:
        """See Cluster.tell: an Event on the InferenceService."""
        facts = self._copies.inference_service(service)
        if facts is not None and self._watching:
            self._events.tell(facts, event)

    async def _hand_back(self, service: str) -> None:
        """Start a service that we had put to sleep and that is ours no longer. Raises ClusterError."""
        objects = self._objects(service)
        if objects.deployment is not None and objects.deployment.replicas == 0:
            await self._write(objects, 1, ())
            self._events.tell(objects.inference_service, _HANDED_BACK)

    async def _write(self, objects: Objects, replicas: int, go_first: Sequence[str]) -> None:
        facts = objects.inference_service
        if objects.deployment is None:
            raise ClusterError(f"{facts.service}: there is no Deployment {facts.predictor}; has KServe reconciled it?")
        own = [pod for pod in objects.pods if pod.owner.rpartition("-")[0] == facts.predictor]
        self._ordered[facts.service] = replicas
        try:
            await self._scaling.scale(objects.deployment, replicas, own, go_first)
        except ClusterError:
            self._ordered.pop(facts.service, None)
            raise

    def _objects(self, service: str) -> Objects:
        facts = self._copies.inference_service(service)
        if facts is None:
            raise ClusterError(f"there is no InferenceService {service}")
        return self._copies.of(facts)

    def _clear_costs(self, service: str, objects: Objects) -> None:
        """Who is still there when nobody has to go is not the first to go any more.

        The copy of the Deployment may not show yet what was ordered, and costs are written before the order.
        """
        if objects.deployment is None:
            return
        live = [pod for pod in objects.pods if not pod.deleted]
        replicas = objects.deployment.replicas
        over = len(live) <= min(replicas, self._ordered.get(service, replicas))
        if over and service not in self._clearing and any(map(goes_first, live)):
            task = asyncio.create_task(self._cleared(service, self._scaling.clear_costs(live)))
            self._clearing[service] = task

    async def _cleared(self, service: str, clearing: Coroutine[None, None, None]) -> None:
        try:
            await clearing
        finally:
            del self._clearing[service]


def _subject(objects: Objects, view: ServiceView) -> Subject:
    """What leads connections has to know of a service."""
    facts = objects.inference_service
    return Subject(
        target=None if objects.service is None else target_of(objects.service),
        managed=facts.managed and not view.refused,
        replicas=view.wanted,
        ready=sum(replica.phase is ReplicaPhase.READY for replica in view.replicas),
        ready_generation=facts.generation if ready_now(objects.deployment, view.replicas) else -1,
    )


async def _unless(tasks: Sequence[asyncio.Task[None]], awaited: Coroutine[object, object, object]) -> None:
    """Wait for it; raises what ended one of `tasks`, which shall not end by themselves."""
    waiting = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait((waiting, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
                raise ClusterError(f"{task.get_name()} has ended")
    finally:
        waiting.cancel()


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
