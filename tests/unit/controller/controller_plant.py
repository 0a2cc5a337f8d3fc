"""One service in virtual time, closed: clients, a hold, replicas that take time to start and to serve.

Everything between the load and the orders is the real thing: Stats as an activator and queue proxies would count them,
read once a second and at each doubling of what is held, the collector, the decider. Only time and work are simulated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.settings import Cadence
from autoscaler.decide.decision import Decision
from queue_proxy.messages import Stats
from tests.unit.controller.controller_builders import CHAT, inference_service

STEP = 0.01
PUSHED, SCRAPED = 0.37, 0.81  # when in each second activator and replicas are read: not at the same moment


@dataclass
class _Counted:
    busy: float = 0.0
    waited: float = 0.0
    arrived: int = 0
    completed: int = 0
    served: float = 0.0


@dataclass
class _Server:
    name: str
    ordered_at: float
    ready_at: float
    counted: _Counted = field(default_factory=_Counted)
    ends: list[float] = field(default_factory=list)


class Plant:
    """`arrivals` are the times of requests, in seconds from the start, at which the service sleeps."""

    def __init__(
        self,
        arrivals: Iterable[float],
        *,
        start_seconds: float,
        service_seconds: float,
        slots: int,
        annotations: Mapping[str, str],
        known_service_seconds: bool = True,
    ) -> None:
        self.now = 1_000.0
        self.decisions: list[Decision] = []
        self.wanted_over_time: list[tuple[float, int]] = []
        self.drained_at: float | None = None
        self.longest_wait = 0.0
        self._arrivals = deque(sorted(self.now + at for at in arrivals))
        self._start_seconds, self._service_seconds, self._slots = start_seconds, service_seconds, slots
        self._isvc = inference_service(CHAT, {"containerConcurrency": slots}, **annotations)
        self._held: deque[float] = deque()
        self._hold = _Counted()
        self._servers: list[_Server] = []
        self._draining: list[_Server] = []
        self._wanted, self._numbered, self._announce_at, self._urgent_at = 0, 0, 1, 0.0
        self._control = ServiceControl(self._view(), Cadence(), self.now)
        self._control.viewed(self._view(), self.now)
        if known_service_seconds:
            # A replica of an earlier life has completed some.
            past = Stats(source="past", epoch="past", at=1.0, completed=50, service_seconds=50 * service_seconds)
            self._control.scraped("past", past, self.now)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        for _ in range(round(seconds / STEP)):
            self._pass(STEP)

    @property
    def ready(self) -> int:
        return sum(self.now >= server.ready_at for server in self._servers)

    def most_wanted(self, since: float = 0.0) -> int:
        """The most replicas that were wanted at a time, `since` seconds from the start on."""
        return max(decision.desired for decision in self.decisions if decision.at >= 1_000.0 + since)

    def _pass(self, step: float) -> None:
        before, ready = self.now, self.ready
        self.now = now = round(before + step, 6)
        self._hold.waited += len(self._held) * step
        for server in self._servers + self._draining:
            server.counted.busy += len(server.ends) * step
            for _ in [end for end in server.ends if end <= now]:
                server.counted.completed += 1
                server.counted.served += self._service_seconds
            server.ends = [end for end in server.ends if end > now]
        self._draining = [server for server in self._draining if server.ends]
        self._arrive(now)
        self._release(now)
        if self.ready != ready:
            self._control.viewed(self._view(), now)
        urgent = not self.ready and len(self._held) >= self._announce_at and now - self._urgent_at >= 0.05
        if urgent:
            self._announce_at, self._urgent_at = 2 * len(self._held), now
        if urgent or _passes(before, now, 1.0, PUSHED):
            self._control.pushed("main", self._activator(), now, urgent=urgent)
        if _passes(before, now, 1.0, SCRAPED):
            for server in self._servers + self._draining:
                self._control.scraped(server.name, self._proxy(server), now)
        if urgent or _passes(before, now, 2.0, 0.5):
            self._evaluate()

    def _arrive(self, now: float) -> None:
        while self._arrivals and self._arrivals[0] <= now:
            self._held.append(self._arrivals.popleft())
            self._hold.arrived += 1
            self.drained_at = None

    def _release(self, now: float) -> None:
        for server in self._servers:
            while now >= server.ready_at and self._held and len(server.ends) < self._slots:
                self.longest_wait = max(self.longest_wait, now - self._held.popleft())
                server.ends.append(now + self._service_seconds)
                server.counted.arrived += 1
        if not self._held and not any(server.ends for server in self._servers + self._draining):
            self._announce_at = 1
            self.drained_at = self.drained_at or now

    def _evaluate(self) -> None:
        evaluation = self._control.evaluate(self.now)
        assert evaluation is not None
        self.decisions.append(evaluation.decision)
        if evaluation.order is None:
            return
        self._wanted = evaluation.order.replicas
        while len(self._servers) < self._wanted:
            self._numbered += 1
            name = f"chat-{self._numbered}"
            self._servers.append(_Server(name, self.now, self.now + self._start_seconds))
        for name in evaluation.order.go_first[: len(self._servers) - self._wanted]:
            (going,) = (server for server in self._servers if server.name == name)
            self._servers.remove(going)
            self._draining.append(going)
        self._control.order_placed(self._wanted, self.now)
        self._control.viewed(self._view(), self.now)
        self.wanted_over_time.append((self.now - 1_000.0, self._wanted))

    def _view(self) -> ServiceView:
        replicas = tuple(
            Replica(
                server.name,
                ReplicaPhase.READY if self.now >= server.ready_at else ReplicaPhase.STARTING,
                created_at=server.ordered_at,
                ready_at=server.ready_at if self.now >= server.ready_at else None,
            )
            for server in self._servers
        ) + tuple(Replica(server.name, ReplicaPhase.DRAINING, server.ordered_at) for server in self._draining)
        return ServiceView(CHAT, self._isvc, 1, self._wanted, replicas, True, 8081, ever_ready=True)

    def _activator(self) -> Stats:
        return Stats(
            source="activator/main",
            epoch="e",
            at=self.now,
            waiting_seconds=self._hold.waited,
            arrived=self._hold.arrived,
            running=sum(len(server.ends) for server in self._servers + self._draining),
            waiting=len(self._held),
        )

    def _proxy(self, server: _Server) -> Stats:
        counted = server.counted
        return Stats(
            source=server.name,
            epoch="e",
            at=self.now,
            busy_seconds=counted.busy,
            arrived=counted.arrived,
            completed=counted.completed,
            service_seconds=counted.served,
            running=len(server.ends),
        )


def _passes(before: float, now: float, period: float, offset: float) -> bool:
    """Whether a moment `offset` after a multiple of `period` lies in (before, now]."""
    return (now - offset) // period > (before - offset) // period
