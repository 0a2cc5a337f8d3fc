"""Candidates: what each signal alone asks for, and which of them prevails (Knative 1.2, steps 2 to 6).

The order of steps matters and is Knative's: wishes are rounded up, clamped to the rates, raised to the activation
scale; the panic threshold looks at the unclamped wish; panic never goes down; the delay comes last.
"""

from __future__ import annotations

from autoscaler.decide.backlog import backlog_candidate, enough_with_starting
from autoscaler.decide.decision import Candidate, Limit, LimitName, Signal
from autoscaler.decide.delay import delay_before, delayed, remembered
from autoscaler.decide.gpus import gpu_candidate
from autoscaler.decide.panic import follow_panic, never_below_most
from autoscaler.decide.rates import RateLimits
from autoscaler.decide.state import Activity, Panic, Readings, State
from autoscaler.decide.target import replicas_for, utilized_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.reading import Known
from autoscaler.signals.value_type import value_type

_SIGNALS = {
    Metric.CONCURRENCY: (Signal.CONCURRENCY_STABLE, Signal.CONCURRENCY_PANIC),
    Metric.RPS: (Signal.RPS_STABLE, Signal.RPS_PANIC),
}


@value_type(frozen=True)
class Proposal:
    """What the load asks for, before anything that is not load is considered.

    `known` is False when the windows hold nothing, so that `wanted` is only what was there already, or what is
    known to be in flight.
    """

    wanted: int
    winner: Signal | None
    candidates: tuple[Candidate, ...]
    limits: tuple[Limit, ...]
    panic: Panic
    delay: tuple[tuple[int, int], ...]
    known: bool


def propose(policy: ScalingPolicy, readings: Readings, state: State, rates: RateLimits, now: float) -> Proposal:
    """The number of replicas that the load asks for."""
    backlog = backlog_candidate(policy, readings)
    if not isinstance(readings.stable, Known) or not isinstance(readings.panic, Known):
        return _without_windows(policy, readings, state, rates, backlog)
    return _from_windows(policy, readings.stable, readings.panic, readings, state, rates, backlog, now)


def _from_windows(
    policy: ScalingPolicy,
    stable: Known,
    panic: Known,
    readings: Readings,
    state: State,
    rates: RateLimits,
    backlog: Candidate | None,
    now: float,
) -> Proposal:
    target = utilized_target(policy)
    of_stable, of_panic = _SIGNALS[policy.metric]
    wish, wish_in_panic = replicas_for(stable.value, target), replicas_for(panic.value, target)
    winner, quick = Candidate(of_stable, stable, target, wish), Candidate(of_panic, panic, target, wish_in_panic)
    candidates = [winner, quick]
    enough = enough_with_starting(policy, readings)
    in_panic = follow_panic(policy, state.panic, _capped(wish_in_panic, enough), rates.base, now)
    if in_panic.since is not None and wish_in_panic > wish:
        winner, wish = quick, wish_in_panic
    of_load = wish
    if backlog is not None:
        candidates.append(backlog)
        asked = backlog.replicas or 0
        if asked >= wish:  # of equal wishes that of the requests that wait is the one to tell
            winner, wish = backlog, asked
    gpus = gpu_candidate(policy, readings.observation)
    if gpus is not None:
        candidates.append(gpus)
        busy = gpus.replicas or 0
        if 0 < wish < busy:  # never the only signal
            winner, wish = gpus, busy
    limits: list[Limit] = []
    wanted = _limited(wish, enough, rates, limits)
    signal = winner.signal
    if policy.activation_scale > 1 and wish > 0:
        candidates.append(Candidate(Signal.ACTIVATION_SCALE, winner.reading, target, policy.activation_scale))
        if policy.activation_scale > wanted:
            wanted, signal = policy.activation_scale, Signal.ACTIVATION_SCALE
    if in_panic.since is not None:
        in_panic = never_below_most(in_panic, wanted)
        if in_panic.most != wanted:
            limits.append(Limit(LimitName.PANIC_HOLDS, wanted, in_panic.most))
            wanted = in_panic.most
    kept = remembered(policy, readings, wanted, winner, of_load)
    slots, most = delayed(state.delay, kept, delay_before(policy, wish), now)
    after_delay = max(wanted, most)
    if after_delay != wanted:
        limits.append(Limit(LimitName.SCALE_DOWN_DELAY, wanted, after_delay))
    return Proposal(after_delay, signal, tuple(candidates), tuple(limits), in_panic, slots, known=True)


def _without_windows(
    policy: ScalingPolicy, readings: Readings, state: State, rates: RateLimits, backlog: Candidate | None
) -> Proposal:
    """No average can be believed: what is there stays; what is known to be in flight may ask for more.

    While replicas are awaited for which nobody has asked since, nothing is wanted of them any more; whether they
    are given up is decided where going to zero is.
    """
    observation, target = readings.observation, utilized_target(policy)
    of_stable, of_panic = _SIGNALS[policy.metric]
    candidates = [
        Candidate(of_stable, readings.stable, target, None),
        Candidate(of_panic, readings.panic, target, None),
    ]
    asking: list[Candidate] = []
    if backlog is not None:
        candidates.append(backlog)
        asking.append(backlog)
    known = [r.value for r in (observation.in_flight, observation.held) if isinstance(r, Known)]
    if policy.metric is Metric.CONCURRENCY and sum(known) > 0.0 and not (backlog is not None and backlog.replicas):
        in_flight = Candidate(Signal.IN_FLIGHT, Known(sum(known)), target, replicas_for(sum(known), target))
        candidates.append(in_flight)
        asking.append(in_flight)
    unasked = state.activity is Activity.ACTIVATING and len(known) == 2
    wanted = 0 if unasked else observation.replicas.wanted
    winner, limits = None, list[Limit]()
    for candidate in asking:
        limited = min(candidate.replicas or 0, rates.most)
        if limited > wanted:
            limits.clear()
            if candidate.replicas is not None and candidate.replicas != limited:
                limits.append(Limit(LimitName.SCALE_UP_RATE, candidate.replicas, limited))
            wanted, winner = limited, candidate.signal
    return Proposal(wanted, winner, tuple(candidates), tuple(limits), state.panic, state.delay, known=False)


def _limited(wish: int, enough: int | None, rates: RateLimits, limits: list[Limit]) -> int:
    capped = _capped(wish, enough)
    if capped != wish:
        limits.append(Limit(LimitName.STARTING_REPLICAS, wish, capped))
    clamped = rates.clamp(capped)
    if clamped != capped:
        name = LimitName.SCALE_UP_RATE if clamped < capped else LimitName.SCALE_DOWN_RATE
        limits.append(Limit(name, capped, clamped))
    return clamped


def _capped(wish: int, enough: int | None) -> int:
    return wish if enough is None else min(wish, enough)
