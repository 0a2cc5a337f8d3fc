"""Values that the controller's tests are made of, each with what matters to the test as its argument."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from autoscaler.cluster.interface import ClusterError, Replica, ReplicaPhase, ServiceEvent, ServiceView
from autoscaler.controller.loop import Controller
from autoscaler.controller.recorder import Recorder
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.settings import Cadence
from queue_proxy.messages import SecondStats, Stats

CHAT = "default/chat"
START = 1_000.0


def inference_service(
    service: str = CHAT, predictor: Mapping[str, object] | None = None, **annotations: str
) -> dict[str, object]:
    """An InferenceService with `pilotlight.dev/` annotations; write `stable_window` for `stable-window`."""
    namespace, name = service.split("/")
    named = {f"pilotlight.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"namespace": namespace, "name": name, "annotations": {"pilotlight.dev/scaling": "on", **named}},
        "spec": {"predictor": {"minReplicas": 0, **(predictor or {})}},
    }


def replica(
    name: str = "chat-a",
    phase: ReplicaPhase = ReplicaPhase.READY,
    created_at: float = 1_000.0,
    ready_at: float | None = None,
    admin_port: int | None = 9_000,
    reason: str | None = None,
) -> Replica:
    """A replica; one that is ready was so five seconds after it was created unless told otherwise."""
    if phase is ReplicaPhase.READY and ready_at is None:
        ready_at = created_at + 5.0
    host = None if admin_port is None else "127.0.0.1"
    port = None if admin_port is None else 8_000
    return Replica(name, phase, created_at, host, port, admin_port, ready_at, reason)


def view(
    *replicas: Replica,
    wanted: int | None = None,
    isvc: Mapping[str, object] | None = None,
    service: str = CHAT,
    generation: int = 1,
) -> ServiceView:
    """A service; as many replicas are wanted as there are unless told otherwise."""
    return ServiceView(
        service=service,
        inference_service=inference_service(service) if isvc is None else isvc,
        generation=generation,
        wanted=len(replicas) if wanted is None else wanted,
        replicas=replicas,
        activator_in_path=True,
        port=8_081,
    )


def stats(source: str, at: float, *, running: int = 0, waiting: int = 0, history: int = 0, **counters: float) -> Stats:
    """A reading of a source which has had `running` and `waiting` requests all the time since its second 0."""
    return Stats(
        source=source,
        epoch="e",
        at=at,
        busy_seconds=running * at,
        waiting_seconds=waiting * at,
        running=running,
        waiting=waiting,
        seconds=tuple(SecondStats(float(age), float(running), float(waiting), 0) for age in range(history - 1, -1, -1)),
        **counters,  # type: ignore[arg-type]
    )


class MemoryCluster:
    """A Cluster whose replicas are values: an order is shown as wanted, and starts nothing."""

    def __init__(self, *views: ServiceView) -> None:
        self.views = {view.service: view for view in views}
        self.orders: list[tuple[float, str, int, tuple[str, ...]]] = []
        self.paths: list[tuple[str, bool]] = []
        self.activators: list[tuple[str, bool]] = []
        self.refuse: str | None = None
        self.events: list[tuple[str, ServiceEvent]] = []
        self.recorded: dict[str, str] = {}
        self._changed = asyncio.Event()

    def show(self, *views: ServiceView) -> None:
        """Services change."""
        self.views.update({view.service: view for view in views})
        self._changed.set()

    def remove(self, service: str) -> None:
        """A service is gone."""
        del self.views[service]
        self._changed.set()

    async def watch(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        while True:
            self._changed.clear()
            yield tuple(self.views.values())
            await self._changed.wait()

    async def scale(self, service: str, replicas: int, go_first: Sequence[str]) -> None:
        if self.refuse is not None:
            raise ClusterError(self.refuse)
        self.orders.append((asyncio.get_running_loop().time(), service, replicas, tuple(go_first)))

    @property
    def trouble(self) -> tuple[str, ...]:
        return () if self.refuse is None else (self.refuse,)

    def tell(self, service: str, event: ServiceEvent) -> None:
        self.events.append((service, event))

    def activator_heard(self, activator: str, *, speaks: bool) -> None:
        self.activators.append((activator, speaks))

    def record_policy(self, service: str, policy: str) -> None:
        self.recorded[service] = policy

    async def put_activator(self, service: str, in_path: bool) -> None:
        if self.refuse is not None:
            raise ClusterError(self.refuse)
        self.paths.append((service, in_path))


@asynccontextmanager
async def running(cluster: MemoryCluster, recorder: Recorder | None = None) -> AsyncIterator[Controller]:
    """A controller that runs, by the time of the event loop, which begins at `START`."""
    loop = asyncio.get_running_loop()
    cadence = Cadence(decisions_kept=1_000, asleep=2.0)  # what sleeping changes is tested with `quiescence`
    controller = Controller(cluster, recorder, lambda: START + loop.time(), cadence, "epoch")
    task = asyncio.create_task(controller.run())
    await asyncio.sleep(0)
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def control_of(shown: ServiceView, now: float = 1_000.0) -> ServiceControl:
    control = ServiceControl(shown, Cadence(), now)
    control.viewed(shown, now)
    return control


def woken(now: float = 1_000.0) -> ServiceControl:
    """Asleep, and somebody waits."""
    control = control_of(view(), now)
    assert control.pushed("main", stats("activator/main", 5.0, waiting=1), now, urgent=True)
    return control
