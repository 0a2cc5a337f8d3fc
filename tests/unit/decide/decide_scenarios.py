"""A service in virtual time: what it is told each second, and replicas that follow orders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, LimitName
from autoscaler.policy.scaling_policy import Improvements, ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Reading

START = 1_700_000_000
NONE = Known(0.0)
NOT_REPORTED = Missing("no engine reports it")
KNATIVE = Improvements(
    starting_replicas_count=False, backlog_sizing=False, one_before_zero=False, throughput_floor=False
)


def knative_policy(**settings: object) -> ScalingPolicy:
    """A policy in Knative's terms: its defaults, none of our improvements."""
    return replace(ScalingPolicy(initial_scale=1, scale_down_delay_seconds=0.0, improvements=KNATIVE), **settings)  # type: ignore[arg-type]


def observation(
    at: float,
    *,
    samples: tuple[Sample, ...] = (),
    in_flight: Reading = NONE,
    held: Reading = NONE,
    queued: Reading = NONE,
    wanted: int = 1,
    ready: int = 1,
    starting: int = 0,
    pending: int = 0,
    service_seconds: float | None = None,
    wake_seconds: float | None = None,
    activator_confirmed: bool = True,
    ever_ready: bool = True,
    completed: float | None = None,
) -> Observation:
    """One observation with nothing going on but what is said."""
    return Observation(
        at=at,
        samples=samples,
        in_flight=in_flight,
        held=held,
        queued=queued,
        engine_running=NOT_REPORTED,
        engine_waiting=NOT_REPORTED,
        kv_cache_usage=NOT_REPORTED,
        replicas=ReplicaCounts(wanted=wanted, ready=ready, starting=starting, pending=pending),
        service_seconds=service_seconds,
        wake_seconds=wake_seconds,
        activator_confirmed=activator_confirmed,
        ever_ready=ever_ready,
        completed=completed,
    )


@dataclass
class VirtualService:
    """One service whose replicas become ready `start_seconds` after they are ordered, and stop at once.

    Every two seconds it is evaluated, with a sample for each second since. `concurrency` is what runs and waits,
    `waiting` the part of it that is held, `completes` what one ready replica completes in a second; None: nobody
    counts. Attributes may be changed in between.
    """

    policy: ScalingPolicy
    wanted: int = 1
    start_seconds: float = 0.0
    concurrency: float = 0.0
    waiting: float = 0.0
    arrivals: float | None = None
    held: Reading | None = None
    queued: Reading = NONE
    in_flight: Reading | None = None
    service_seconds: float | None = None
    wake_seconds: float | None = None
    activator_confirmed: bool = True
    measured: bool = True
    now: float = float(START)
    ever_ready: bool = True
    completes: float | None = None
    completed: float = 0.0
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.decider = Decider("default/chat", self.policy)
        self.ready = self.wanted if self.start_seconds == 0.0 or self.ever_ready else 0
        self._ready_at: list[float] = []
        self._sampled_until = int(self.now)

    def step(self, seconds: float = 2.0) -> Decision:
        """Let time pass, then evaluate and carry out."""
        self.now += seconds
        self.completed += self.ready * seconds * (self.completes or 0.0)
        arrived = [at for at in self._ready_at if at <= self.now]
        self._ready_at = [at for at in self._ready_at if at > self.now]
        self.ready += len(arrived)
        self.ever_ready = self.ever_ready or self.ready > 0
        arrivals = self.concurrency if self.arrivals is None else self.arrivals
        samples = tuple(
            Sample(second, self.concurrency, arrivals, self.waiting)
            for second in range(self._sampled_until, int(self.now))
        )
        self._sampled_until = int(self.now)
        running = Known(self.concurrency - self.waiting if self.ready else 0.0)
        decision = self.decider.step(
            observation(
                self.now,
                samples=samples if self.measured else (),
                in_flight=running if self.in_flight is None else self.in_flight,
                held=Known(self.waiting) if self.held is None else self.held,
                queued=self.queued,
                wanted=self.wanted,
                ready=self.ready,
                starting=len(self._ready_at),
                service_seconds=self.service_seconds,
                wake_seconds=self.wake_seconds,
                activator_confirmed=self.activator_confirmed,
                ever_ready=self.ever_ready,
                completed=None if self.completes is None else self.completed,
            )
        )
        self.decisions.append(decision)
        self._order(decision.desired)
        return decision

    def run(self, seconds: float) -> Decision:
        """Step for so long; returns the last decision."""
        until, decision = self.now + seconds, None
        while self.now < until:
            decision = self.step()
        assert decision is not None
        return decision

    def run_until(self, desired: int, *, within: float = 600.0) -> float:
        """Step until that many are desired; returns the seconds it took."""
        began = self.now
        while self.step().desired != desired:
            assert self.now - began < within, f"not {desired} within {within} s: {self.decisions[-1].explanation}"
        return self.now - began

    def _order(self, desired: int) -> None:
        while self.ready + len(self._ready_at) < desired:
            if self.start_seconds:
                self._ready_at.append(self.now + self.start_seconds)
            else:
                self.ready += 1
        while self.ready + len(self._ready_at) > desired:
            if self._ready_at:
                self._ready_at.pop()
            else:
                self.ready -= 1
        self.wanted = desired


def limit_names(decision: Decision) -> tuple[LimitName, ...]:
    """The limits that changed the number, in order."""
    return tuple(limit.name for limit in decision.limits)
