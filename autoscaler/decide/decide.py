"""decide: (policy, readings, state, now) → (decision, state). Pure: no clock, no I/O, no memory but the state."""

from __future__ import annotations

from autoscaler.decide.backlog import keep_most
from autoscaler.decide.burst import activator_in_path, counted_for_burst, excess_burst_capacity
from autoscaler.decide.candidates import Proposal, propose
from autoscaler.decide.decision import Decision, LimitName, Phase, Reason, Sentence
from autoscaler.decide.explain import explain
from autoscaler.decide.gpus import keep_while_gpus_work
from autoscaler.decide.limits import Tally, keep_what_may_be_needed, keep_within_bounds, work_in_flight
from autoscaler.decide.rates import rate_limits
from autoscaler.decide.state import Evidence, Readings, State, least_ready
from autoscaler.decide.throughput import keep_what_completes_arrivals
from autoscaler.decide.zero import Rest, next_activity, rest
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import ReplicaCounts

# What keeps the number as it is, where these limits changed it; of several reasons the first one below.
_STAYS = {
    LimitName.UNKNOWN_IS_NOT_ZERO: Reason.UNKNOWN_LOAD,
    LimitName.STABLE_WINDOW: Reason.WAITING_TO_SLEEP,
    LimitName.GRACE_PERIOD: Reason.WAITING_TO_SLEEP,
    LimitName.RETENTION: Reason.WAITING_TO_SLEEP,
    LimitName.ACTIVATOR_NOT_IN_PATH: Reason.WAITING_TO_SLEEP,
    LimitName.ONE_BEFORE_ZERO: Reason.WAITING_TO_SLEEP,
    LimitName.NEVER_READY: Reason.WAITING_TO_SLEEP,
    LimitName.MAX_REPLICAS: Reason.AT_MAX,
    LimitName.MIN_REPLICAS: Reason.AT_MIN,
    LimitName.INITIAL_SCALE: Reason.AT_MIN,
    LimitName.SCALE_TO_ZERO_OFF: Reason.AT_MIN,
    LimitName.PANIC_HOLDS: Reason.PANIC,
}
_STAYS_FIRST = (Reason.UNKNOWN_LOAD, Reason.WAITING_TO_SLEEP, Reason.AT_MAX, Reason.AT_MIN, Reason.PANIC)
_KEPT_UNASKED = (LimitName.UNKNOWN_IS_NOT_ZERO, LimitName.GPU_UNKNOWN)


def decide(policy: ScalingPolicy, readings: Readings, state: State, now: float, service: str) -> tuple[Decision, State]:
    """Decide how many replicas `service` shall have from `now` on.

    `state` is what the last call returned (`initial_state` before the first). The stages: what each signal asks for;
    the winner, within the rates, panic and delay; what may be needed although no signal asks for it; the bounds;
    and, when all that leaves nothing, the way to zero.
    """
    observation = readings.observation
    replicas = observation.replicas
    evidence = _with_evidence(policy, state.evidence, readings, now)
    proposal = propose(policy, readings, state, rate_limits(policy, replicas), now)
    tally = Tally(proposal.wanted, proposal.limits)
    keep_what_may_be_needed(tally, observation)
    keep_while_gpus_work(tally, policy, observation)
    keep_what_completes_arrivals(tally, policy, readings)
    keep_within_bounds(tally, policy, state, evidence, now)
    outcome = _settle(policy, state, evidence, readings, proposal, tally, now)
    state = _after(policy, state, evidence, readings, proposal, outcome, now)
    phase, reason = phase_of(replicas, tally.replicas), _reason(replicas, proposal, tally, outcome)
    decision = Decision(
        service=service,
        at=now,
        phase=phase,
        replicas=replicas,
        candidates=proposal.candidates,
        winner=proposal.winner,
        limits=tuple(tally.limits),
        desired=tally.replicas,
        reason=reason,
        panic=proposal.panic.since is not None,
        excess_burst_capacity=state.excess_burst,
        activator_in_path=activator_in_path(
            replicas.ready,
            state.activity,
            excess_burst_capacity(policy, replicas.ready, readings.panic, state.excess_burst),
        ),
        said=Sentence(lambda: explain(policy, readings, proposal, tally, outcome, reason, now)),
    )
    return decision, state


def _with_evidence(policy: ScalingPolicy, before: Evidence, readings: Readings, now: float) -> Evidence:
    """With what this observation says of initialisation, activator and work."""
    observation = readings.observation
    last_work, proxy_since = before.last_work, before.proxy_since
    if work_in_flight(observation) > 0.0:
        last_work = now
    elif readings.last_busy is not None:
        last_work = max(last_work, min(readings.last_busy, now))
    if not (observation.activator_confirmed or policy.target_burst_capacity == -1.0):
        proxy_since = None
    elif proxy_since is None:
        proxy_since = now
    initialised = before.initialised or observation.replicas.ready >= least_ready(policy, initialised=False)
    if last_work == before.last_work and proxy_since == before.proxy_since and initialised is before.initialised:
        return before
    return Evidence(initialised, proxy_since, last_work)


def _settle(
    policy: ScalingPolicy,
    state: State,
    evidence: Evidence,
    readings: Readings,
    proposal: Proposal,
    tally: Tally,
    now: float,
) -> Rest:
    """Take the way to zero when nothing is wanted; what the service's activity follows is in the outcome."""
    if tally.replicas == 0:
        observation = readings.observation
        outcome = rest(policy, state, evidence, observation, now)
        if outcome.limit is not None:
            tally.set(outcome.limit, outcome.replicas)
        return outcome
    measured = proposal.known or proposal.winner is not None
    kept_unasked = any(limit.name in _KEPT_UNASKED and limit.before == 0 for limit in tally.limits)
    if kept_unasked or not measured:
        return Rest(tally.replicas, None)  # what is there stays, which does not mean that it is needed
    return Rest(tally.replicas, tally.replicas)


def _after(
    policy: ScalingPolicy,
    state: State,
    evidence: Evidence,
    readings: Readings,
    proposal: Proposal,
    outcome: Rest,
    now: float,
) -> State:
    replicas = readings.observation.replicas
    activity = next_activity(policy, state.activity, evidence.initialised, replicas.ready, outcome.wish)
    return State(
        at=now,
        panic=proposal.panic,
        backlog=keep_most(readings.backlog, proposal.candidates),
        delay=proposal.delay,
        activity=activity,
        activity_since=state.activity_since if activity is state.activity else now,
        evidence=evidence,
        excess_burst=excess_burst_capacity(
            policy, counted_for_burst(policy, replicas), readings.panic, state.excess_burst
        ),
        throughput=readings.throughput,
    )


def phase_of(replicas: ReplicaCounts, desired: int) -> Phase:
    """Where in its life a service is that has these replicas and shall have `desired`."""
    if desired == 0:
        there = replicas.ready + replicas.starting + replicas.pending + replicas.draining
        return Phase.DRAINING if there else Phase.ASLEEP
    return Phase.SERVING if replicas.ready else Phase.WAKING


def _reason(replicas: ReplicaCounts, proposal: Proposal, tally: Tally, outcome: Rest) -> Reason:
    """Why the result is what it is; what changes the number comes before what keeps it."""
    wanted, desired = replicas.wanted, tally.replicas
    if outcome.gave_up:
        return Reason.GAVE_UP_WAKING
    if desired == 0:
        return Reason.SLEEP if wanted else Reason.ASLEEP
    if wanted == 0:
        return Reason.WAKE
    if desired > wanted:
        return Reason.PANIC if proposal.panic.since is not None else Reason.SCALE_UP
    if desired < wanted:
        return Reason.SCALE_DOWN
    return _reason_to_stay(proposal, tally)


def _reason_to_stay(proposal: Proposal, tally: Tally) -> Reason:
    if not proposal.known and proposal.winner is None:
        return Reason.UNKNOWN_LOAD
    reasons = [reason for limit in tally.limits if (reason := _STAYS.get(limit.name)) is not None]
    return min(reasons, key=_STAYS_FIRST.index) if reasons else Reason.STEADY
