"""Resting: a policy that is not asked while a service idles and all that it could still remember is idleness.

Autoscalers that poll are asked every few seconds for ever; of a trace of days with rare requests that is nearly all
that a simulation would do. What they remember has an end: the windows and delays of each. Once a service has been idle
for so long, with the replicas that are wanted, and the same was ordered all the while, each further step sees what the
last one saw and remembers what it remembered: it can only give the same order. So none is made until something happens.
Then the steps that were left out are made up for, as far back as the memory reaches, and windows hold what they would.

Who orders another number than there may be, as where a bound is set beside a policy and not in it, does not rest; nor
does anybody where readings may be lost.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

from simulations.plant.observed import Observed
from simulations.policies.interface import Order, Policy


class Forgetful(Policy, Protocol):
    """A policy whose order follows from what it was told lately. It goes by `observed.at` alone, not by how often it
    was asked."""

    @property
    def memory(self) -> float:
        """Seconds: what it was told longer ago than that changes nothing any more."""
        ...


class Resting:
    """`policy`, for one service; see above. The orders are those that it would have given without."""

    def __init__(self, policy: Forgetful) -> None:
        """Nothing is known yet."""
        self._policy = policy
        self.period, self.urgent = policy.period, policy.urgent
        self._first_turn: float | None = None
        self._last: tuple[object, ...] | None = None  # what the last step saw and said, and since when each did
        self._since = 0.0
        self._left: Observed | None = None  # what was seen when it was left to rest

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        if self._first_turn is None:
            self._first_turn = observed.at
        if self._left is not None:
            self._make_up(self._left, self._first_turn, observed.at)
        order = self._policy.step(observed)
        seen = (observed.replicas, observed.arrived, observed.completed, observed.activator_in_path, order)
        if not _idles(observed) or order.replicas != observed.replicas.wanted or seen != self._last:
            self._last, self._since, self._left = seen, observed.at, None
            return order
        if observed.at - self._since <= self._policy.memory:
            return order
        self._left = observed
        return replace(order, repeats_until=math.inf)

    def _make_up(self, left: Observed, first: float, now: float) -> None:
        """The steps between, of which there may have been any number, or none."""
        period = self.period
        after = math.floor((left.at - first) / period + 1e-9) + 1
        remembered = math.ceil((now - self._policy.memory - first) / period)
        turn = max(after, remembered)
        while (at := first + turn * period) < now - 1e-9:
            self._policy.step(replace(left, at=at, samples=()))
            turn += 1


def _idles(observed: Observed) -> bool:
    """There are the replicas that are wanted, and nothing for them to do."""
    replicas = observed.replicas
    awaited = replicas.starting or replicas.pending or replicas.failed or replicas.draining
    if awaited or replicas.ready != replicas.wanted:
        return False
    working = observed.in_flight or observed.queued or observed.engine_running or observed.engine_waiting
    if working or observed.held or observed.kv_cache_usage or observed.utilization or observed.urgent:
        return False
    return not any(sample.concurrency or sample.rps for sample in observed.samples)
