"""Pilotlight itself: the controller's own Decider, fed with the Observations that the controller would have made.

Steps that can only repeat the last one are left out (see `autoscaler.decide.repeats`), and the Decider is told of them
before the next. What would have been decided in between is not recorded, and all that follows is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from simulations.plant.observed import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.scenario import Scenario, ServiceSpec

# As the controller's Cadence.evaluation.
EVALUATION_SECONDS = 2.0
# What the plant still tells of after a rest is two minutes long: what is in a window must not get lost.
_LONGEST_REST = 100.0


class Pilotlight:
    """Decides for one service by a ScalingPolicy, exactly as the controller does."""

    urgent = True

    def __init__(
        self, service: str, policy: ScalingPolicy, period: float = EVALUATION_SECONDS, *, idle_first: bool = True
    ) -> None:
        """Begin with empty windows. `idle_first`: pods' deletion costs say which are idle."""
        self.period = period
        self._idle_first = idle_first
        self._decider = Decider(service, policy)
        self._repeating: Observation | None = None
        self._first_turn: float | None = None

    def decide(self, observation: Observation) -> Decision:
        """What follows from these readings, simulated or recorded."""
        return self._decider.step(observation)

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        if self._first_turn is None:
            self._first_turn = observed.at
        if self._repeating is not None:
            self._decider.repeat(self._repeating, self._turn_before(observed.at, self._first_turn))
        observation = observed.observation()
        decision = self.decide(observation)
        until = self._repeats_until(observation, decision) if observed.settled and decision.desired <= 1 else None
        self._repeating = None if until is None else observation
        return Order(
            decision.desired,
            activator_in_path=decision.activator_in_path,
            repeats_until=until,
            decision=decision,
            idle_first=self._idle_first,
        )

    def change_policy(self, policy: ScalingPolicy) -> None:
        """Decide by this one from now on; what is remembered stays, as when a controller reads a manifest again."""
        self._decider.change_policy(policy)

    def _repeats_until(self, observation: Observation, decision: Decision) -> float | None:
        until = self._decider.repeats_until(observation, decision)
        if until is None or (decision.desired == 0 and self._decider.policy.stable_window_seconds <= _LONGEST_REST):
            return until
        return min(until, observation.at + _LONGEST_REST)

    def _turn_before(self, at: float, first: float) -> float:
        """When it was asked last before then, or would have been."""
        return first + (math.ceil((at - first) / self.period - 1e-9) - 1.0) * self.period


def pilotlight(policies: Mapping[str, ScalingPolicy] | ScalingPolicy) -> MakePolicy:
    """Policies by service, or one for all. Raises KeyError for a service without one."""

    def make(service: ServiceSpec, scenario: Scenario) -> Policy:
        policy = policies if isinstance(policies, ScalingPolicy) else policies[service.name]
        return Pilotlight(service.name, policy)

    return make
