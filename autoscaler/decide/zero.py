"""Zero: the way to sleep, and the conditions on it (Knative 1.6, the scale-to-zero state machine).

Zero is the one number that must not be reached by mistake: the next request then waits for a model to load. So
the load's wish for nothing is only the beginning:

    activating  no replica has become ready yet: wait for that, up to the progress deadline and 30 s, then give up
    active      idle for less than the stable window: one replica stays; then the service becomes inactive
    inactive    requests must be seen to reach the activator, and grace and retention must have passed; then zero.
                So begins a service that is to be asleep at first, and needs neither grace nor retention

With `one_before_zero` (ours) never from several replicas at once, and idle time is counted from the end of the last
request or of loading, whichever is later; Knative counts from when the service became active.
"""

from __future__ import annotations

from autoscaler.decide.decision import LimitName
from autoscaler.decide.state import Activity, Evidence, State, asleep_from_the_beginning, least_ready
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts
from autoscaler.signals.value_type import value_type

# Knative waits this much longer than the progress deadline, so that whoever reports the failure comes first.
_GIVING_UP_AFTER_DEADLINE = 30.0


@value_type(frozen=True)
class Rest:
    """The outcome for a service that nobody needs now.

    `wish` is what the service's activity follows: 0 for sleep, None for no opinion, else the number wanted.
    `until` is when to look again, None when nothing is waited for.
    """

    replicas: int
    wish: int | None
    limit: LimitName | None = None
    gave_up: bool = False
    until: float | None = None


def rest(policy: ScalingPolicy, state: State, evidence: Evidence, observation: Observation, now: float) -> Rest:
    """What to do when the load, within its bounds, asks for nothing. `evidence` is as of now."""
    replicas = observation.replicas
    if not policy.scale_to_zero:
        return Rest(1, 1, LimitName.SCALE_TO_ZERO_OFF)
    if replicas.wanted == 0:
        return Rest(0, 0)
    match state.activity:
        case Activity.ACTIVATING:
            return _give_up_or_wait(policy, state, replicas, now)
        case Activity.ACTIVE:
            return _grow_idle(policy, state, evidence, replicas, now)
        case Activity.INACTIVE:
            return _fall_asleep(policy, state, evidence, observation, now)


def next_activity(
    policy: ScalingPolicy, activity: Activity, initialised: bool, ready: int, wish: int | None
) -> Activity:
    """The condition that follows from what is wished for and what is ready."""
    if wish == 0 or (wish is None and activity is Activity.INACTIVE):
        return Activity.INACTIVE
    return Activity.ACTIVE if ready >= max(1, least_ready(policy, initialised=initialised)) else Activity.ACTIVATING


def activation_deadline(policy: ScalingPolicy, state: State) -> float:
    """When an activation that has begun at `state.activity_since` is given up."""
    return state.activity_since + policy.progress_deadline_seconds + _GIVING_UP_AFTER_DEADLINE


def _give_up_or_wait(policy: ScalingPolicy, state: State, replicas: ReplicaCounts, now: float) -> Rest:
    deadline = activation_deadline(policy, state)
    if now < deadline:
        return Rest(replicas.wanted, None, LimitName.NEVER_READY, until=deadline)
    if policy.improvements.one_before_zero and replicas.wanted > 1:
        return Rest(1, None, LimitName.ONE_BEFORE_ZERO, gave_up=True)
    return Rest(0, 0, gave_up=True)


def _grow_idle(policy: ScalingPolicy, state: State, evidence: Evidence, replicas: ReplicaCounts, now: float) -> Rest:
    since = state.activity_since
    if policy.improvements.one_before_zero:
        since = max(since, evidence.last_work)
    if now - since < policy.stable_window_seconds:
        return Rest(1, 1, LimitName.STABLE_WINDOW, until=since + policy.stable_window_seconds)
    confirmed_since = now if evidence.proxy_since is None else evidence.proxy_since
    until = max(now + policy.scale_to_zero_retention_seconds, confirmed_since + policy.scale_to_zero_grace_seconds)
    return Rest(_kept(policy, replicas), 0, LimitName.GRACE_PERIOD, until=until)


def _fall_asleep(policy: ScalingPolicy, state: State, evidence: Evidence, observation: Observation, now: float) -> Rest:
    replicas = observation.replicas
    kept = _kept(policy, replicas)
    grace, retention = policy.scale_to_zero_grace_seconds, policy.scale_to_zero_retention_seconds
    inactive = now - state.activity_since
    # With a burst capacity of −1 the activator is always in the path: there is nothing to confirm.
    if not observation.activator_confirmed and policy.target_burst_capacity != -1.0:
        return Rest(kept, 0, LimitName.ACTIVATOR_NOT_IN_PATH)
    # Whoever was never served is not led to a replica either, and nothing is kept for him.
    if inactive < max(grace, retention) and not asleep_from_the_beginning(policy, observation):
        if inactive < retention:
            return Rest(kept, 0, LimitName.RETENTION, until=state.activity_since + retention)
        if evidence.proxy_since is None or now - evidence.proxy_since < grace:
            confirmed_since = now if evidence.proxy_since is None else evidence.proxy_since
            until = min(state.activity_since + max(grace, retention), confirmed_since + grace)
            return Rest(kept, 0, LimitName.GRACE_PERIOD, until=until)
    if policy.improvements.one_before_zero and replicas.wanted > 1:
        return Rest(1, 0, LimitName.ONE_BEFORE_ZERO)
    return Rest(0, 0)


def _kept(policy: ScalingPolicy, replicas: ReplicaCounts) -> int:
    """What stays until sleep: all that is there; with `one_before_zero` no more than one."""
    return min(1, replicas.wanted) if policy.improvements.one_before_zero else replicas.wanted
