"""What a policy is told, with nothing going on but what is said."""

from __future__ import annotations

from autoscaler.signals.observation import ReplicaCounts, Sample
from simulations.plant.observed import Observed
from simulations.policies.interface import Order, Policy
from simulations.scenario import ContinuousBatching, MeasuredSeconds, ServiceSpec, StartDraws


def observed(
    at: float,
    *,
    ready: int = 1,
    wanted: int | None = None,
    starting: int = 0,
    pending: int = 0,
    in_flight: float = 0.0,
    held: float = 0.0,
    queued: float = 0.0,
    running: float = 0.0,
    kv: float = 0.0,
    utilization: float = 0.0,
    completed: int = 0,
    samples: tuple[Sample, ...] = (),
    wake_seconds: float | None = None,
    urgent: bool = False,
) -> Observed:
    return Observed(
        service=0,
        at=at,
        samples=samples,
        age=0.5,
        in_flight=in_flight,
        held=held,
        queued=queued,
        engine_running=running,
        engine_waiting=queued,
        kv_cache_usage=kv,
        utilization=utilization,
        arrived=0,
        completed=completed,
        input_tokens=0,
        output_tokens=0,
        replicas=ReplicaCounts(
            ready + starting + pending if wanted is None else wanted, ready, starting, pending, 0, 0
        ),
        service_seconds=None,
        wake_seconds=wake_seconds,
        activator_in_path=True,
        ever_ready=True,
        stale_after=5.0,
        urgent=urgent,
    )


def service(limit: int = 0, *, llm: bool = False) -> ServiceSpec:
    model = ContinuousBatching(0.0005, 0.02, 0.0005, slots=32) if llm else MeasuredSeconds(1.0)
    return ServiceSpec("chat", model, StartDraws.of("10 s", 10.0), limit=limit)


class Told:
    """Steps a policy from 0 at its own period, its orders carried out at once unless a number is pinned.

    `load` is what is in flight; `kv` and `utilization` of each replica; `held` waits in front.
    """

    def __init__(self, policy: Policy, ready: int) -> None:
        self.policy = policy
        self.ready = ready
        self.at = 0.0
        self.orders: list[tuple[float, int]] = []
        self.last: Order | None = None

    def until(
        self,
        end: float,
        *,
        load: float = 0.0,
        held: float = 0.0,
        kv: float = 0.0,
        utilization: float = 0.0,
        pinned: bool = False,
    ) -> int:
        while self.at <= end:
            second = int(self.at) - 1
            self.last = self.policy.step(
                observed(
                    self.at,
                    ready=self.ready,
                    in_flight=load,
                    held=held,
                    kv=kv,
                    utilization=utilization,
                    samples=(Sample(second, load + held, 0.0, held),) if second >= 0 else (),
                )
            )
            if not self.orders or self.orders[-1][1] != self.last.replicas:
                self.orders.append((self.at, self.last.replicas))
            if not pinned:
                self.ready = self.last.replicas
            self.at += self.policy.period
        assert self.last is not None
        return self.last.replicas
