"""Limits that are not load: what is unknown, what is in flight, and the bounds the user has set."""

from __future__ import annotations

from autoscaler.decide.decision import Limit, LimitName
from autoscaler.decide.state import Activity, Evidence, State
from autoscaler.decide.zero import activation_deadline
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known


class Tally:
    """A number on its way to the result, and the limits that have changed it."""

    __slots__ = ("limits", "replicas")

    def __init__(self, replicas: int, limits: tuple[Limit, ...]) -> None:
        """Begin with what the load asks for."""
        self.replicas = replicas
        self.limits = list(limits)

    def set(self, name: LimitName, replicas: int) -> None:
        """Let a limit decide; it is noted only if it changes the number."""
        if replicas != self.replicas:
            self.limits.append(Limit(name, self.replicas, replicas))
            self.replicas = replicas


def load_is_known(observation: Observation) -> bool:
    """Everybody who may have work has been heard: the replicas that are ready, and the activators."""
    return isinstance(observation.in_flight, Known) and isinstance(observation.held, Known)


def work_in_flight(observation: Observation) -> float:
    """Requests known to be running or waiting somewhere."""
    in_flight, held = observation.in_flight, observation.held
    running = in_flight.value if isinstance(in_flight, Known) else 0.0
    return running + held.value if isinstance(held, Known) else running


def keep_what_may_be_needed(tally: Tally, observation: Observation) -> None:
    """Unknown is not zero: without hearing from everybody nothing is taken away; and work in flight keeps one."""
    if not load_is_known(observation):
        tally.set(LimitName.UNKNOWN_IS_NOT_ZERO, max(tally.replicas, observation.replicas.wanted))
    if tally.replicas == 0 and work_in_flight(observation) > 0.0:
        tally.set(LimitName.WORK_IN_FLIGHT, 1)


def keep_within_bounds(tally: Tally, policy: ScalingPolicy, state: State, evidence: Evidence, now: float) -> None:
    """min, max and, until it has been reached once, the initial scale; 0 is no maximum."""
    if tally.replicas < policy.min_replicas:
        tally.set(LimitName.MIN_REPLICAS, policy.min_replicas)
    awaited = not evidence.initialised and state.activity is Activity.ACTIVATING
    if awaited and now < activation_deadline(policy, state):
        tally.set(LimitName.INITIAL_SCALE, max(tally.replicas, policy.initial_scale))
    if 0 < policy.max_replicas < tally.replicas:
        tally.set(LimitName.MAX_REPLICAS, policy.max_replicas)
