"""Pilotlight itself: the controller's own Decider, fed with the Observations that the controller would have made."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Reason
from autoscaler.policy.scaling_policy import ScalingPolicy
from simulations.plant.interface import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.scenario import Scenario, ServiceSpec

# As the controller's Cadence.evaluation.
EVALUATION_SECONDS = 2.0


class Pilotlight:
    """Decides for one service by a ScalingPolicy, exactly as the controller does."""

    urgent = True

    def __init__(self, service: str, policy: ScalingPolicy, period: float = EVALUATION_SECONDS) -> None:
        """Begin with empty windows."""
        self.period = period
        self._decider = Decider(service, policy)
        self._quiet_for = policy.stable_window_seconds + policy.scale_down_delay_seconds
        self._asleep_since: float | None = None

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        decision = self._decider.step(observed.observation())
        return Order(
            decision.desired,
            activator_in_path=decision.activator_in_path,
            rests=self._rests(decision.reason, observed.at),
            decision=decision,
        )

    def _rests(self, reason: Reason, now: float) -> bool:
        """Asleep, and for so long that the windows have forgotten what was before: each further step would be alike."""
        if reason is not Reason.ASLEEP:
            self._asleep_since = None
            return False
        if self._asleep_since is None:
            self._asleep_since = now
        return now - self._asleep_since > self._quiet_for + 2 * self.period


def pilotlight(policies: Mapping[str, ScalingPolicy] | ScalingPolicy) -> MakePolicy:
    """Policies by service, or one for all. Raises KeyError for a service without one."""

    def make(service: ServiceSpec, scenario: Scenario) -> Policy:
        policy = policies if isinstance(policies, ScalingPolicy) else policies[service.name]
        return Pilotlight(service.name, policy)

    return make
