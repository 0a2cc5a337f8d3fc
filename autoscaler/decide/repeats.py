"""Repeats: until when each further decision can only be the one just made.

A service that is asked every two seconds is told the same again and again: while its one replica loads, while that one
works on a long request, while it idles toward sleep, while it sleeps. A simulator need not ask then. What is said here
is not that the next decision will probably be the same, but that no reading of the stretch can lead to another one, and
that the state after it is known. It holds as long as

    nothing happens to the service: nobody comes, nothing is finished, no replica changes its phase
    the seconds that are told meanwhile are those of the load that is there now

and is claimed only for no replica or a single one, whose load is at most its target: then each wish is 0 or 1, in
whatever way the windows move, and what remains is which timer runs (see `zero`). For anything else it is not claimed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from autoscaler.decide.decision import Decision
from autoscaler.decide.limits import load_is_known, work_in_flight
from autoscaler.decide.state import Activity, Evidence, State, least_ready
from autoscaler.decide.target import total_target, utilized_target
from autoscaler.decide.throughput import span_ends
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts
from autoscaler.signals.windows import round_six

_NONE = ReplicaCounts(0, 0)
_ONE_READY = ReplicaCounts(1, 1)
_ONE_STARTING = ReplicaCounts(1, 0, starting=1)


def repeats_until(
    policy: ScalingPolicy, state: State, observation: Observation, decision: Decision, most_load: float, told: int
) -> float | None:
    """The time before which no further decision differs, math.inf for never; None where that is not known.

    `state` is that after `decision`, `most_load` the largest second that the stable window holds, `told` the newest
    second that was told.
    """
    replicas = observation.replicas
    if decision.desired != replicas.wanted or not load_is_known(observation) or state.panic.since is not None:
        return None
    if observation.activator_confirmed is not decision.activator_in_path:
        return None  # where connections are led is changing, and a timer begins once it has
    load, target = work_in_flight(observation), utilized_target(policy)
    if replicas == _NONE:
        nothing_asks = load == 0.0 and most_load == 0.0 and all(wanted == 0 for _, wanted in state.delay)
        return math.inf if nothing_asks and state.activity is Activity.INACTIVE else None
    # Averages are rounded to six digits: a target with more of them could be exceeded by the rounding alone.
    if max(load, most_load) > target or round_six(target) > target:
        return None
    if not _is_simple(policy) or not _one_is_enough(policy, state) or not _nothing_is_delayed(policy, state):
        return None
    if replicas == _ONE_STARTING:
        return math.inf if load > 0.0 and state.activity is Activity.ACTIVATING else None
    backlog = state.backlog
    if replicas != _ONE_READY or backlog.draining or backlog.most or not _path_is_settled(policy, target):
        return None
    until = _works_until(state) if load > 0.0 else _idles_until(policy, state, most_load)
    if until is not None and state.throughput.ready and observation.completed is not None:
        until = min(until, span_ends(state.throughput, observation.completed))
    if until is None or backlog.last is None or told >= backlog.last:
        return until
    # What its seconds count is put right for the last time once it is over and all of them are told, by what is
    # measured then. Until it is over that can be done at any time, for nothing new is measured while nothing happens.
    return min(until, float(backlog.last))


def repeated(state: State, observation: Observation, at: float) -> State:
    """The state after it was decided again, up to `at`, on readings like these."""
    evidence = state.evidence
    if work_in_flight(observation) > 0.0:
        evidence = Evidence(evidence.initialised, evidence.proxy_since, at)
    return replace(state, at=at, evidence=evidence)


def _is_simple(policy: ScalingPolicy) -> bool:
    """Nothing is remembered or looked at that could ask for more than the load does."""
    return (
        policy.metric is Metric.CONCURRENCY
        and policy.panic_threshold > 1.0
        and policy.gpu_busy <= 0.0
        and policy.gpu_utilization_target <= 0.0
    )


def _nothing_is_delayed(policy: ScalingPolicy, state: State) -> bool:
    """No step would be another one for what was wanted before: more than one is remembered by none, and zero waits for
    timers of its own."""
    if policy.scale_down_delay_seconds <= 0.0:
        return True
    return policy.improvements.one_before_zero and all(wanted <= 1 for _, wanted in state.delay)


def _one_is_enough(policy: ScalingPolicy, state: State) -> bool:
    """With any load, and without, one replica within the user's bounds."""
    return (
        policy.activation_scale <= 1
        and policy.scale_to_zero
        and state.evidence.initialised
        and least_ready(policy, initialised=True) <= 1
    )


def _path_is_settled(policy: ScalingPolicy, target: float) -> bool:
    """One replica's room for a burst has the same sign for every load up to the target."""
    burst = policy.target_burst_capacity
    if burst in (0.0, -1.0):
        return True
    spare = total_target(policy) - burst
    return spare < 0.0 or spare - target >= 0.0


def _works_until(state: State) -> float | None:
    return math.inf if state.activity is Activity.ACTIVE else None


def _idles_until(policy: ScalingPolicy, state: State, most_load: float) -> float | None:
    """When the timer of an idle replica runs out."""
    evidence, since = state.evidence, state.activity_since
    if state.activity is Activity.ACTIVE:
        if policy.improvements.one_before_zero:
            since = max(since, evidence.last_work)
        return since + policy.stable_window_seconds
    if state.activity is not Activity.INACTIVE or most_load > 0.0 or evidence.proxy_since is None:
        return None
    retention, grace = policy.scale_to_zero_retention_seconds, policy.scale_to_zero_grace_seconds
    return max(since + retention, min(since + max(grace, retention), evidence.proxy_since + grace))
