"""Policy: what decides in a simulation, and what it answers. One object for each service; it keeps its own state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from autoscaler.decide.decision import Decision
from autoscaler.signals.value_type import value_type
from simulations.plant.observed import Observed
from simulations.scenario import Scenario, ServiceSpec


@value_type(frozen=True)
class Order:
    """What is wanted from now on.

    replicas   how many
    activator_in_path  whether requests pass the activator while replicas are ready
    again_at   when to ask again at the latest, seconds; None: after the policy's period
    rests      nothing will change before a request arrives (or `again_at`, where it is given): do not ask until then;
               only while nothing is in flight, starting, pending or failed. What is told then goes back two minutes.
    idle_first whether of ready replicas the idlest goes first; else the youngest, as a ReplicaSet has it that nobody
               tells which pods are busy
    repeats_until  before then each further step at its turn could only give this order, unless something happens to the
               service: its requests or its replicas. None: not known. Such steps are left out
    decision   the record of it, where the policy makes one
    """

    replicas: int
    activator_in_path: bool = True
    again_at: float | None = None
    rests: bool = False
    repeats_until: float | None = None
    decision: Decision | None = None
    idle_first: bool = True


class Policy(Protocol):
    """Decides for one service."""

    @property
    def period(self) -> float:
        """Seconds between two steps, > 0."""
        ...

    @property
    def urgent(self) -> bool:
        """Asked at once when a request finds no endpoint (as an activator's push makes a controller do); else such a
        request is seen at the next period."""
        ...

    def step(self, observed: Observed) -> Order:
        """Decide. Called with growing `observed.at`."""
        ...


MakePolicy = Callable[[ServiceSpec, Scenario], Policy]
