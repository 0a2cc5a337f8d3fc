"""explain: one sentence for a person, with the numbers that decided."""

from __future__ import annotations

from autoscaler.decide.candidates import Proposal
from autoscaler.decide.decision import Candidate, Limit, LimitName, Reason, Signal
from autoscaler.decide.limits import Tally, work_in_flight
from autoscaler.decide.state import Readings
from autoscaler.decide.zero import Rest
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from autoscaler.signals.windows import panic_window_seconds

_WHY = {
    LimitName.SCALE_UP_RATE: "no more than max-scale-up-rate allows at once",
    LimitName.SCALE_DOWN_RATE: "no less than max-scale-down-rate allows at once",
    LimitName.PANIC_HOLDS: "in panic nothing goes down",
    LimitName.SCALE_DOWN_DELAY: "more was wanted within the scale-down delay",
    LimitName.MIN_REPLICAS: "the minimum",
    LimitName.MAX_REPLICAS: "the maximum",
    LimitName.INITIAL_SCALE: "the initial scale has yet to be reached",
    LimitName.SCALE_TO_ZERO_OFF: "scaling to zero is switched off",
    LimitName.STABLE_WINDOW: "idle for less than the stable window",
    LimitName.GRACE_PERIOD: "the grace period before zero runs",
    LimitName.RETENTION: "the last replica is retained for a while",
    LimitName.ACTIVATOR_NOT_IN_PATH: "requests are not seen to reach the activator yet",
    LimitName.WORK_IN_FLIGHT: "work is in flight",
    LimitName.ONE_BEFORE_ZERO: "one comes before none",
    LimitName.UNKNOWN_IS_NOT_ZERO: "not everybody has been heard, and unknown is not zero",
    LimitName.STARTING_REPLICAS: "replicas on their way will answer what waits",
    LimitName.NEVER_READY: "replicas are still awaited",
}

_OPENING = {
    Reason.SCALE_UP: "Up from {wanted} to {desired}",
    Reason.SCALE_DOWN: "Down from {wanted} to {desired}",
    Reason.STEADY: "Stays at {desired}",
    Reason.WAKE: "Wakes with {desired}",
    Reason.SLEEP: "Goes to sleep from {wanted}",
    Reason.ASLEEP: "Asleep",
    Reason.AT_MAX: "Stays at its maximum of {desired}",
    Reason.AT_MIN: "Stays at its minimum of {desired}",
    Reason.WAITING_TO_SLEEP: "Idle, stays at {desired} before it may sleep",
    Reason.UNKNOWN_LOAD: "Stays at {desired} because its load is not known",
    Reason.GAVE_UP_WAKING: "Gives up waking and goes from {wanted} to {desired}",
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
    because = _because(policy, observation, proposal, outcome)
    limits = "".join(f"; {limit.before} → {limit.after}: {_why(limit, observation)}" for limit in tally.limits)
    later = "" if outcome.until is None else f" ({max(0.0, outcome.until - now):.0f} s left)"
    return f"{opening}: {because}{limits}{later}."


def _opening(reason: Reason, wanted: int, desired: int) -> str:
    if reason is Reason.PANIC:
        return f"Panic, up from {wanted} to {desired}" if desired > wanted else f"Panic, stays at {desired}"
    return _OPENING[reason].format(wanted=wanted, desired=desired)


def _because(policy: ScalingPolicy, observation: Observation, proposal: Proposal, outcome: Rest) -> str:
    if outcome.gave_up:
        return f"no replica became ready within {policy.progress_deadline_seconds:g} s and nobody waits"
    for candidate in proposal.candidates:
        if candidate.signal is proposal.winner:
            return _asks(policy, candidate)
    if observation.replicas.wanted == 0 and work_in_flight(observation) == 0.0:
        return "no request is known"
    for reading in (observation.in_flight, observation.held):
        if not isinstance(reading, Known):
            return _unknown(reading)
    return "nothing was measured in the window"


def _asks(policy: ScalingPolicy, candidate: Candidate) -> str:
    reading, target, replicas = candidate.reading, candidate.target, candidate.replicas or 0
    value = _number(reading.value) if not isinstance(reading, Missing) else "?"
    needs = f"at {_number(target)} per replica need {replicas}"
    stable, panic = f"{policy.stable_window_seconds:g} s", f"the last {_panic_seconds(policy)} s"
    match candidate.signal:
        case Signal.CONCURRENCY_STABLE:
            return f"{value} requests at a time on average over {stable} {needs}"
        case Signal.CONCURRENCY_PANIC:
            return f"{value} requests at a time on average over {panic} {needs}"
        case Signal.RPS_STABLE:
            return f"{value} requests/s on average over {stable} {needs}"
        case Signal.RPS_PANIC:
            return f"{value} requests/s on average over {panic} {needs}"
        case Signal.BACKLOG:
            held = "1 request is" if value == "1" else f"{value} requests are"
            return f"{held} held and each replica drains {_number(target)} in time, which takes {replicas}"
        case Signal.IN_FLIGHT:
            return f"{value} in flight {needs}"
        case Signal.ACTIVATION_SCALE:
            return f"with load there are at least {replicas} (activation scale)"


def _why(limit: Limit, observation: Observation) -> str:
    if limit.name is LimitName.WORK_IN_FLIGHT:
        working = _number(work_in_flight(observation))
        return "1 request is in flight" if working == "1" else f"{working} requests are in flight"
    if limit.name is LimitName.UNKNOWN_IS_NOT_ZERO:
        for reading in (observation.in_flight, observation.held):
            if not isinstance(reading, Known):
                return f"unknown is not zero ({_unknown(reading)})"
    return _WHY[limit.name]


def _unknown(reading: Reading) -> str:
    match reading:
        case Missing(why):
            return why
        case Stale(value, age):
            return f"last heard {age:.0f} s ago, {_number(value)} in flight then"
        case Known():
            return ""


def _number(value: float) -> str:
    """At most two digits after the point, none where they say nothing."""
    return f"{value:.0f}" if value >= 1000 or value == int(value) else f"{value:.2f}".rstrip("0").rstrip(".")


def _panic_seconds(policy: ScalingPolicy) -> int:
    return panic_window_seconds(policy.stable_window_seconds, policy.panic_window_fraction)
