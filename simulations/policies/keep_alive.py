"""Fixed keep-alive: a replica that nobody has needed for T seconds goes, as functions-as-a-service do it.

    replicas = max over the last T seconds of ⌈(running + waiting) / room⌉

so each replica has a timer of its own and the last one leaves the service at zero. Whoever finds none starts one at
once. Ten minutes is what AWS Lambda and Azure Functions were measured to keep (Shahrad et al., ATC 2020, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from simulations.plant.observed import Observed
from simulations.policies.activity import Activity
from simulations.policies.fixed import room
from simulations.policies.interface import Order
from simulations.policies.settings import BaseSettings, seconds, whole
from simulations.scenario import ServiceSpec


@dataclass(frozen=True, slots=True)
class KeepAliveSettings(BaseSettings):
    """The one number, usually 5, 10 or 30 minutes."""

    min_replicas: int = whole(0, "never fewer replicas")
    idle: float = seconds(600.0, "a replica goes after so long without need", 1.0)


class KeepAlive:
    """Decides for one service."""

    urgent = True
    period = 1.0

    def __init__(self, settings: KeepAliveSettings, service: ServiceSpec) -> None:
        """Nobody has come."""
        self._settings = settings
        self._activity = Activity(room(service))

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings, activity = self._settings, self._activity
        activity.see(observed)
        wanted = settings.within(activity.needed(observed.at, settings.idle))
        return Order(
            wanted,
            activator_in_path=settings.in_path,
            again_at=activity.next_expiry(settings.idle),
            rests=not activity.busy,
        )
