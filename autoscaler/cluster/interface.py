"""Cluster: where replicas live, as the controller sees it. Kubernetes and local processes stand behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from autoscaler.policy.profiles import NO_PROFILES, Profiles
from autoscaler.signals.gpu import PodGpus


class ReplicaPhase(Enum):
    """PENDING waits for a GPU or a node; FAILED has ended and backs off before it is started again."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica. Times are seconds since 1970; `reason` says why it is pending or failed, with the exit code
    and the last log lines of a model that did not start. Address fields are None while it has none.

    Where a cluster tells of the steps of a start: `scheduled_at` it has a node, `prepared_at` what comes before its
    containers is done (its model was fetched), `started_at` the model's process runs.
    """

    name: str
    phase: ReplicaPhase
    created_at: float
    host: str | None = None
    port: int | None = None
    admin_port: int | None = None
    ready_at: float | None = None
    reason: str | None = None
    scheduled_at: float | None = None
    prepared_at: float | None = None
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a service may not be scaled: `code` for a graph or an event, `message` one sentence that says what to do."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service and its replicas.

    service        `namespace/name`
    inference_service  the object as the user wrote it; the policy is read from it
    generation     grows when the object changes
    wanted         the number of replicas last ordered
    activator_in_path  every new connection that no replica takes reaches the activator (locally: always)
    activator_left     no new connection reaches the activator any more. While it goes in or out, neither is true: what
                       leads connections learns of it one node after the other
    port           the activator's port for this service
    ever_ready     one replica of this generation has been ready: the cluster remembers it, a new controller cannot
    refused        why it may not be scaled: nothing is ever ordered for it while there is one
    deployed       there is something to scale; until then nothing is wanted, and that must not be taken for sleep
    profiles       those that the object may name, as they are in force; none for an object that names none
    recorded_policy  as the controller had it recorded last, which may have been another one; empty: nothing is recorded
    """

    service: str
    inference_service: Mapping[str, object]
    generation: int
    wanted: int
    replicas: tuple[Replica, ...]
    activator_in_path: bool
    port: int
    ever_ready: bool = False
    activator_left: bool = False
    refused: tuple[Refusal, ...] = ()
    deployed: bool = True
    profiles: Profiles = NO_PROFILES
    recorded_policy: str = ""


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """What the people of a cluster should find on a service: `reason` and `action` are words in CamelCase."""

    reason: str
    action: str
    message: str
    warning: bool = False


class Cluster(Protocol):
    """Observe and resize. Implementations reconnect by themselves; `watch` ends only when closed."""

    def watch(self) -> AsyncIterator[tuple[ServiceView, ...]]:
        """All services, first at once and then again after every change of any of them."""
        ...

    async def scale(self, service: str, replicas: int, go_first: Sequence[str]) -> None:
        """Order `replicas` replicas; when that is fewer, those named in `go_first` go first, in that order.

        May wait for its turn behind other orders, and bounds what comes then. Raises ClusterError when the order could
        not be placed; the caller tries again.
        """
        ...

    async def put_activator(self, service: str, in_path: bool) -> None:
        """Lead new connections to the activator too, or to the replicas alone; views tell when that has spread.

        The cluster keeps it so until it is told otherwise. As `scale`, it may wait for its turn. Raises ClusterError
        when the order could not be placed; the caller tries again.
        """
        ...

    def record_policy(self, service: str, policy: str) -> None:
        """Keep this text with the service, for controllers that come later: views show it as `recorded_policy`.

        Never waits and never fails; where it cannot be kept now, it is tried again as long as this controller lives.
        """
        ...

    def activator_heard(self, activator: str, *, speaks: bool) -> None:
        """An activator has connected to the controller, or its connection has ended without a word: it may be lost.

        Never waits and never fails.
        """
        ...

    @property
    def trouble(self) -> tuple[str, ...]:
        """Why what is shown may be old, one sentence for each reason; empty while all goes well."""
        ...

    def tell(self, service: str, event: ServiceEvent) -> None:
        """Put it where people look for what becomes of this service. Never waits and never fails."""
        ...


class GpuSource(Protocol):
    """Who knows what the GPUs of replicas do."""

    async def pod_gpus(self, clock: Callable[[], float]) -> Mapping[str, PodGpus]:
        """All there is to know now, of each replica, `namespace/name`; stamped by `clock`. Within seconds, always.

        Raises GpuMetricsError when nothing can be known now.
        """
        ...


class GpuMetricsError(Exception):
    """What GPUs do cannot be read now: says why, and holds no secret."""


class NoGpusError(GpuMetricsError):
    """There are none, or none that can be asked, and that is no fault."""


class ClusterError(Exception):
    """The cluster did not take an order: says which and why."""


class NotAuthenticatedError(Exception):
    """Somebody is not shown to be who he says.

    `status` is HTTP's: 401, 403, 404 when nobody is expected there, 409 when that may be otherwise in a moment, or 503
    when nobody can tell now.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
