"""Fixed numbers of replicas: chosen, or sized for the peak of a trace that nobody could have known. What autoscaling
is compared with: the second is what a careful team provisions by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulations.bounds.of_trace import steps
from simulations.bounds.service_seconds import ServiceSeconds, service_seconds
from simulations.plant.observed import Observed
from simulations.policies.interface import Order
from simulations.policies.settings import number, whole
from simulations.scenario import ServiceSpec
from simulations.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class FixedSettings:
    """As many as are said."""

    replicas: int = whole(1, "so many, always")


@dataclass(frozen=True, slots=True)
class PeakSettings:
    """As many as the busiest moment of the trace needs when nobody waits."""

    share: float = number(1.0, "share of the peak that there is room for", 0.01, 100.0)


class Fixed:
    """Orders the same number at each step."""

    urgent = False
    period = 60.0

    def __init__(self, replicas: int) -> None:
        """`replicas` ≥ 0."""
        self.replicas = replicas

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        return Order(self.replicas, activator_in_path=True, rests=True)


class PeakReplicas:
    """Replicas of each service at the peak of a trace: the most requests that would be in service at the same time if
    nobody waited and batches were half full, over what one replica takes. Services that are alike are counted in one
    pass."""

    def __init__(self, trace: Trace, share: float) -> None:
        """Nothing is read yet."""
        self._trace, self._share = trace, share
        self._peaks: dict[tuple[ServiceSeconds, int], dict[str, int]] = {}

    def of(self, service: ServiceSpec) -> int:
        """Raises TraceError where durations are neither recorded nor known from the model."""
        took, slots = service_seconds(service.model, batch=service.model.slots / 2.0), room(service)
        if (took, slots) not in self._peaks:
            names = self._trace.services
            peaks = dict.fromkeys(names, 0)
            for at, piece in steps(self._trace, took, [slots] * len(names)):
                peaks[names[at]] = max(peaks[names[at]], piece.peak)
            self._peaks[took, slots] = peaks
        return math.ceil(self._peaks[took, slots].get(service.name, 0) * self._share)


def room(service: ServiceSpec) -> int:
    """Requests that one replica takes at a time: its limit or its engine's slots, the smaller; 1 where neither is."""
    return min((each for each in (service.limit, service.model.slots) if each), default=1)
