"""explain: one sentence for a person, with the numbers that decided, their units, and the setting that set each limit.

It begins with what happens, then says what was measured and what one replica is given of it; only where that is not
the number that came out does it say what it would have taken, and the last limit that changed it: the decision lists
them all, but a limit that another one overrules explains nothing. The same decision gives the same sentence.
"""

from __future__ import annotations

import math
from functools import lru_cache

from autoscaler.decide.backlog import drain_seconds
from autoscaler.decide.candidates import Proposal
from autoscaler.decide.decision import Candidate, Limit, LimitName, Reason, Signal
from autoscaler.decide.limits import Tally, load_is_known, work_in_flight
from autoscaler.decide.state import Readings
from autoscaler.decide.throughput import completed_by_one
from autoscaler.decide.zero import Rest
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.windows import panic_window_seconds

# Windows, targets and counts are nearly always the same few numbers.
_SAID_AGAIN = 1_024

_OPENING = {
    Reason.SCALE_UP: "Up from {wanted} to {desired}",
    Reason.SCALE_DOWN: "Down from {wanted} to {desired}",
    Reason.STEADY: "Stays at {desired}",
    Reason.WAKE: "Wakes with {desired}",
    Reason.SLEEP: "Goes to sleep from {wanted}",
    Reason.ASLEEP: "Asleep",
    Reason.AT_MAX: "Stays at its maximum of {desired}",
    Reason.AT_MIN: "Stays at its minimum of {desired}",
    Reason.WAITING_TO_SLEEP: "Idle, keeps {desired} for now",
    Reason.UNKNOWN_LOAD: "Stays at {desired}, its load is not known",
    Reason.GAVE_UP_WAKING: "Gives up waking, from {wanted} to {desired}",
}


def explain(
    policy: ScalingPolicy,
    readings: Readings,
    proposal: Proposal,
    tally: Tally,
    outcome: Rest,
    reason: Reason,
    now: float,
) -> str:
    """The sentence: what happens, what was asked for by what, and each limit that changed that."""
    observation = readings.observation
    wanted, desired = observation.replicas.wanted, tally.replicas
    opening = _opening(reason, wanted, desired)
    if reason is Reason.UNKNOWN_LOAD:
        return f"{opening}: {_not_known(policy, observation)}."
    because = _because(policy, readings, proposal, outcome, changed=bool(tally.limits))
    left = 0.0 if outcome.until is None else outcome.until - now
    why = f"; {_why(policy, tally.limits[-1], readings, left)}" if tally.limits else ""
    return f"{opening}: {because}{why}."


def _opening(reason: Reason, wanted: int, desired: int) -> str:
    if reason is Reason.PANIC:
        return f"Panic, up from {wanted} to {desired}" if desired > wanted else f"Panic, stays at {desired}"
    return _OPENING[reason].format(wanted=wanted, desired=desired)


def _because(policy: ScalingPolicy, readings: Readings, proposal: Proposal, outcome: Rest, *, changed: bool) -> str:
    observation = readings.observation
    if outcome.gave_up:
        return f"no replica was ready within {_seconds(policy.progress_deadline_seconds)} and nobody waits"
    for candidate in proposal.candidates:
        if candidate.signal is proposal.winner:
            return _asks(policy, readings, candidate, changed=changed)
    if work_in_flight(observation) == 0.0 and load_is_known(observation):
        return "no request is in flight or waits"
    return _not_known(policy, observation)


def _asks(policy: ScalingPolicy, readings: Readings, candidate: Candidate, *, changed: bool) -> str:
    """What one signal says. `changed`: the result is another number than it asks for, so that is said too."""
    if candidate.signal is Signal.BACKLOG:
        return _backlog(policy, readings, candidate, changed=changed)
    if candidate.signal is Signal.ACTIVATION_SCALE:
        return f"with any load there are at least {candidate.replicas} (activation scale)"
    if candidate.signal is Signal.GPU_UTILIZATION:
        takes = f", which takes {candidate.replicas}" if changed else ""
        busy, given = _share(candidate.reading), _percent(candidate.target)
        return f"GPUs are at work {busy} of the time, a replica is given {given}{takes}"
    value = 0.0 if isinstance(candidate.reading, Missing) else candidate.reading.value
    if value == 0.0:
        return f"no request in {_window(policy, candidate.signal)}"
    takes = f", which takes {candidate.replicas}" if changed else ""
    given = f"a replica is given {_number(candidate.target)}"
    if candidate.signal is Signal.IN_FLIGHT:
        return f"{_requests(value)} in flight, {given}{takes}"
    rate = "per second" if policy.metric is Metric.RPS else "at a time"
    return f"{_requests(value)} {rate} over {_window(policy, candidate.signal)}, {given}{takes}"


def _backlog(policy: ScalingPolicy, readings: Readings, candidate: Candidate, *, changed: bool) -> str:
    value = 0.0 if isinstance(candidate.reading, Missing) else candidate.reading.value
    within, replicas = _seconds(drain_seconds(policy, readings.observation)), candidate.replicas or 0
    waits = f"{_requests(value)} {'waits' if value == 1.0 else 'wait'}"
    if replicas == readings.backlog.most and replicas > math.ceil(value / candidate.target):
        still = "still waits" if value == 1.0 else "still wait"
        return f"{_requests(value)} that waited for the start {still}, {replicas} replicas were ordered to drain them"
    coming = math.ceil(value / candidate.target) < replicas
    more = f" and others keep coming at {_number(_rate(readings))} per second" if coming else ""
    known = readings.observation.service_seconds is not None or policy.metric is Metric.RPS
    many = _number(math.floor(candidate.target) if candidate.target >= 1.0 else candidate.target)
    drains = f"can drain {many} within {within}" if known else f"takes {many} at a time"
    takes = f", which takes {replicas}" if changed or coming else ""
    return f"{waits}{more}, one replica {drains}{takes}"


def _why(policy: ScalingPolicy, limit: Limit, readings: Readings, left: float) -> str:
    """What changed the number, with the setting that it follows from; `left` is how many seconds it lasts."""
    observation, after, to_go = readings.observation, limit.after, f", {left:.0f} s to go" if left >= 0.5 else ""
    match limit.name:
        case LimitName.SCALE_UP_RATE:
            return f"the rate limit up, ×{policy.max_scale_up_rate:g}, allows {after} now"
        case LimitName.SCALE_DOWN_RATE:
            return f"the rate limit down, ÷{policy.max_scale_down_rate:g}, allows no fewer than {after} now"
        case LimitName.PANIC_HOLDS:
            return f"in panic the {after} asked for before stay"
        case LimitName.SCALE_DOWN_DELAY:
            return f"{after} were needed within the scale-down delay of {_seconds(policy.scale_down_delay_seconds)}"
        case LimitName.MIN_REPLICAS:
            return f"minReplicas is {after}"
        case LimitName.MAX_REPLICAS:
            return f"maxReplicas is {after}"
        case LimitName.INITIAL_SCALE:
            return f"the initial scale of {after} has not been reached yet"
        case LimitName.SCALE_TO_ZERO_OFF:
            return "scaling to zero is switched off"
        case LimitName.STABLE_WINDOW:
            return f"it sleeps after {_seconds(policy.stable_window_seconds)} without a request{to_go}"
        case LimitName.GRACE_PERIOD:
            return f"the grace period before zero is {_seconds(policy.scale_to_zero_grace_seconds)}{to_go}"
        case LimitName.RETENTION:
            return f"the last replica is kept for {_seconds(policy.scale_to_zero_retention_seconds)}{to_go}"
        case LimitName.ACTIVATOR_NOT_IN_PATH:
            return "requests are not seen to reach the activator yet"
        case LimitName.WORK_IN_FLIGHT:
            working = work_in_flight(observation)
            return f"{_requests(working)} {'is' if working == 1.0 else 'are'} in flight"
        case LimitName.ONE_BEFORE_ZERO:
            return "one comes before none"
        case LimitName.UNKNOWN_IS_NOT_ZERO:
            return f"{after} stay, for unknown is not zero ({_not_known(policy, observation)})"
        case LimitName.STARTING_REPLICAS:
            return f"{after} are enough once those on their way are ready"
        case LimitName.THROUGHPUT:
            arriving, by_one = _number(readings.arriving), _number(completed_by_one(readings) or 0.0)
            return (
                f"{after} stay, for {arriving} arrive per second and a full replica was measured to complete {by_one}"
            )
        case LimitName.NEVER_READY:
            return f"its first replica is awaited{to_go}"
        case LimitName.GPU_BUSY:
            busy = _share(observation.gpu_utilization)
            return f"{after} stay, for GPUs are at work {busy} of the time and gpu-busy is {_percent(policy.gpu_busy)}"
        case LimitName.GPU_UNKNOWN:
            return f"{after} stay, for what its GPUs do is not known ({_gpus_not_known(observation.gpu_utilization)})"


def _not_known(policy: ScalingPolicy, observation: Observation) -> str:
    """Who was not heard; or that the windows are empty, when everybody was."""
    unknown = [_unknown(r) for r in (observation.in_flight, observation.held) if not isinstance(r, Known)]
    return unknown[0] if unknown else f"nothing was measured in the last {_seconds(policy.stable_window_seconds)}"


def _unknown(reading: Reading) -> str:
    match reading:
        case Missing(why):
            return why
        case Stale(value, age):
            return f"last heard {age:.0f} s ago, {_requests(value)} then"
        case Known():
            return ""


def _gpus_not_known(reading: Reading) -> str:
    match reading:
        case Missing(why):
            return why
        case Stale(_, age) | Known(_, age):
            return f"last measured {age:.0f} s ago, {_share(reading)} then"


def _share(reading: Reading) -> str:
    return "?" if isinstance(reading, Missing) else _percent(reading.value)


def _percent(share: float) -> str:
    return f"{_number(round(100.0 * share, 1))} %"


def _rate(readings: Readings) -> float:
    return readings.arrival_rate.value if isinstance(readings.arrival_rate, Known) else 0.0


def _window(policy: ScalingPolicy, signal: Signal) -> str:
    if signal in (Signal.CONCURRENCY_PANIC, Signal.RPS_PANIC):
        return f"the last {panic_window_seconds(policy.stable_window_seconds, policy.panic_window_fraction)} s"
    return f"the last {_seconds(policy.stable_window_seconds)}"


def _requests(value: float) -> str:
    return "1 request" if value == 1.0 else f"{_number(value)} requests"


@lru_cache(_SAID_AGAIN)
def _number(value: float) -> str:
    """At most two digits after the point, one from 10 on, none from 100 on or where they say nothing."""
    if value >= 100.0 or value == int(value):
        return f"{value:.0f}"
    if 0.0 < value < 0.01:
        return "less than 0.01"
    return f"{value:.{2 if value < 10.0 else 1}f}".rstrip("0").rstrip(".")


@lru_cache(_SAID_AGAIN)
def _seconds(value: float) -> str:
    return f"{value:g} s"
