"""Pilotlight itself: the controller's own Decider, fed with the Observations that the controller would have made.

While nobody comes and the windows have forgotten who did, and no timer runs, a step can only be the same as
the last: such steps are left out. What is decided in between is not recorded, and all that follows is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, Reason
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from simulations.plant.interface import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.scenario import Scenario, ServiceSpec

# As the controller's Cadence.evaluation.
EVALUATION_SECONDS = 2.0
# Without load and without a timer, these are followed by no other.
_AT_REST = (Reason.ASLEEP,)


class Pilotlight:
    """Decides for one service by a ScalingPolicy, exactly as the controller does."""

    urgent = True

    def __init__(self, service: str, policy: ScalingPolicy, period: float = EVALUATION_SECONDS) -> None:
        """Begin with empty windows."""
        self.period = period
        self._decider = Decider(service, policy)
        self._forgets_after = _forgets_after(policy)
        self._last_load = 0.0

    def decide(self, observation: Observation) -> Decision:
        """What follows from these readings, simulated or recorded."""
        return self._decider.step(observation)

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        decision = self.decide(observed.observation())
        if observed.in_flight or observed.held or any(sample.concurrency or sample.rps for sample in observed.samples):
            self._last_load = observed.at
        quiet = observed.at - self._last_load > self._forgets_after
        rests = quiet and decision.desired == 0 and decision.reason in _AT_REST
        return Order(
            decision.desired,
            activator_in_path=decision.activator_in_path,
            rests=rests,
            decision=decision,
        )

    def change_policy(self, policy: ScalingPolicy) -> None:
        """Decide by this one from now on; what is remembered stays, as when a controller reads a manifest again."""
        self._decider.change_policy(policy)
        self._forgets_after = _forgets_after(policy)


def _forgets_after(policy: ScalingPolicy) -> float:
    """So long after the last load the windows hold nothing but zeros, and so does the delay."""
    return max(60.0, policy.stable_window_seconds + 2.0) + policy.scale_down_delay_seconds + 4.0


def pilotlight(policies: Mapping[str, ScalingPolicy] | ScalingPolicy) -> MakePolicy:
    """Policies by service, or one for all. Raises KeyError for a service without one."""

    def make(service: ServiceSpec, scenario: Scenario) -> Policy:
        policy = policies if isinstance(policies, ScalingPolicy) else policies[service.name]
        return Pilotlight(service.name, policy)

    return make
