"""State: what a decision needs to remember of the ones before. Small, frozen, and nothing else is remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Reading
from autoscaler.signals.value_type import value_type
from autoscaler.signals.windows import panic_window_seconds


class Activity(Enum):
    """Knative's condition "Active" of a revision: unknown while replicas come up, true, or false."""

    ACTIVATING = "activating"
    ACTIVE = "active"
    INACTIVE = "inactive"


@value_type(frozen=True)
class Panic:
    """`since` is when the panic threshold was last reached, None outside of panic; `most` the largest number
    wanted in this panic."""

    since: float | None = None
    most: int = 0


@value_type(frozen=True)
class Backlog:
    """Whether the load includes requests that piled up while no replica was ready.

    until        when they count as any others do again, at the latest; None as long as replicas are still awaited
    first, last  the seconds that belong to the backlog, both included; `first` is None before the first backlog,
                 `last` while it is not over
    most         the most replicas that were asked for to drain it; what waits when its time is over keeps them for as
                 long as the windows do not hold it
    served_since when the first replica was seen ready, None before
    """

    draining: bool = False
    until: float | None = None
    first: int | None = None
    last: int | None = None
    most: int = 0
    served_since: float | None = None

    @property
    def seconds(self) -> tuple[float, float]:
        """The first and the last second that belong to it, without an end as long as it is not over."""
        return math.inf if self.first is None else self.first, math.inf if self.last is None else self.last


@value_type(frozen=True)
class Throughput:
    """What replicas complete, and completed while all of them were full: see `throughput`.

    ready      how many replicas there are in the span that is measured, 0 without one; `full` says whether they are
    since      when the span began; by then `completed` requests had been completed, and `in_flight` were in replicas
    measured   the end of each span, and what one replica can complete in a second by it; newest last
    """

    ready: int = 0
    full: bool = False
    since: float = 0.0
    completed: float = 0.0
    in_flight: float = 0.0
    measured: tuple[tuple[float, float], ...] = ()


@value_type(frozen=True)
class Evidence:
    """What observations have shown so far.

    initialised    the initial scale has been reached once
    proxy_since    since when the activator is known to be in the path, None while it is not
    last_work      when there was last evidence of a request
    """

    initialised: bool
    proxy_since: float | None
    last_work: float


@value_type(frozen=True)
class State:
    """What is carried from one decision to the next.

    at             time of the last decision; time never goes backwards
    panic, backlog, throughput see there
    delay          the largest number wanted in each two-second slot of the scale-down delay, newest last,
                   without those that a later one outweighs
    activity, activity_since  the condition and when it last changed
    evidence       see there
    excess_burst   the last excess burst capacity, kept while there are no numbers
    """

    at: float
    panic: Panic
    backlog: Backlog
    delay: tuple[tuple[int, int], ...]
    activity: Activity
    activity_since: float
    evidence: Evidence
    excess_burst: int
    throughput: Throughput = Throughput()


@value_type(frozen=True)
class Readings:
    """Everything one decision looks at: the observation, and what its samples and those before it average to.

    stable, panic  averages of the policy's metric over the two windows; Missing when nothing was written in them
    arrival_rate   requests per second over the window of arrivals (windows.arrivals_window_seconds)
    last_busy      end of the last second with load, None when none is known
    backlog        see Backlog: as of this observation
    throughput     see Throughput: as of this observation
    arriving       requests per second over the stable window; 0 where no throughput was measured to hold it against
    """

    observation: Observation
    stable: Reading
    panic: Reading
    arrival_rate: Reading
    last_busy: float | None
    backlog: Backlog
    throughput: Throughput = Throughput()
    arriving: float = 0.0


def replicas_on_their_way(replicas: ReplicaCounts) -> int:
    """Replicas that were ordered and are not ready yet, but may become so without a further order."""
    return replicas.starting + replicas.pending


def least_ready(policy: ScalingPolicy, *, initialised: bool) -> int:
    """How many replicas must be ready for the service to be active (Knative: max(min, initial), later max(min, 1))."""
    return max(policy.min_replicas, 1 if initialised else policy.initial_scale)


def asleep_from_the_beginning(policy: ScalingPolicy, observation: Observation) -> bool:
    """No replica of it has been ready yet, and none need be: what there is is not awaited."""
    return policy.asleep_at_first and not observation.ever_ready and observation.replicas.ready == 0


def initial_state(policy: ScalingPolicy, observation: Observation) -> State:
    """Where a decider begins that knows nothing but this observation, whose samples tell of what was before.

    With more than one ready replica it begins in panic with their number as the maximum: whoever has just started
    has empty windows, and must not take them for a lack of load. Where they are not empty, see `_goes_on`.
    """
    replicas, now = observation.replicas, observation.at
    # Where nothing is ready, what the history tells of is a backlog too.
    waiting_since_before = policy.improvements.backlog_sizing and replicas.ready == 0
    least = least_ready(policy, initialised=observation.ever_ready)
    initialised = observation.ever_ready or replicas.ready >= least
    if replicas.ready and replicas.ready >= least:
        activity = Activity.ACTIVE
    elif asleep_from_the_beginning(policy, observation) and not _somebody_came(observation):
        activity = Activity.INACTIVE
    elif replicas.wanted or not initialised:
        activity = Activity.ACTIVATING
    else:
        activity = Activity.INACTIVE
    panic = Panic(since=now if replicas.ready > 1 else None, most=replicas.ready)
    return State(
        at=now,
        panic=Panic() if _goes_on(policy, observation) else panic,
        backlog=Backlog(draining=True, first=0) if waiting_since_before else Backlog(),
        delay=(),
        activity=activity,
        activity_since=now,
        evidence=Evidence(initialised, proxy_since=None, last_work=now),
        excess_burst=_excess_burst_before_numbers(policy),
    )


def _goes_on(policy: ScalingPolicy, observation: Observation) -> bool:
    """All that a predecessor went by is known, and nothing says that it was in panic: so none is begun.

    In panic every peak of a few seconds orders replicas that stay; a controller that is replaced would order them for
    all services at once. What is ready stays without it, for the scale-down delay (`delay.needed_at_first`); Knative
    has nothing else that keeps it. Replicas that were ordered and are not ready are the sign of a burst, too.
    """
    if not policy.improvements.one_before_zero or policy.scale_down_delay_seconds < policy.stable_window_seconds:
        return False
    if not isinstance(observation.in_flight, Known) or not isinstance(observation.held, Known):
        return False  # whoever is not heard of has told no history either
    samples, replicas = observation.samples, observation.replicas
    if not samples or samples[0].second > observation.at - policy.stable_window_seconds:
        return False
    return replicas.wanted <= replicas.ready and not _bursts(policy, samples)


def _bursts(policy: ScalingPolicy, samples: Sequence[Sample]) -> bool:
    """The load of the panic window is so many times that of the stable one as begin a panic.

    How many replicas were ready when it grew is not known; the stable window tells how many were needed.
    """
    end, by_rps = samples[-1].second + 1, policy.metric is Metric.RPS

    def average(seconds: float) -> float:
        last = [sample for sample in samples if sample.second >= end - seconds]
        return sum(sample.rps if by_rps else sample.concurrency for sample in last) / seconds

    quick = average(panic_window_seconds(policy.stable_window_seconds, policy.panic_window_fraction))
    return quick >= policy.panic_threshold * average(policy.stable_window_seconds)


def _somebody_came(observation: Observation) -> bool:
    """In the history, so that what is there was started for him, or waited for him; he may come again."""
    return any(sample.concurrency > 0.0 for sample in observation.samples)


def _excess_burst_before_numbers(policy: ScalingPolicy) -> int:
    """Knative: the burst setting itself for −1 and 0, else initial_scale·C − burst, cut towards zero."""
    if policy.target_burst_capacity in (-1.0, 0.0):
        return int(policy.target_burst_capacity)
    return int(policy.initial_scale * policy.target - policy.target_burst_capacity)
