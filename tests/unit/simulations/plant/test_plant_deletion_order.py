"""Which replica goes, where deletion costs say who is idle and where nobody does; and latencies one by one."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.plant.observed import Observed
from simulations.plant.results import Outcome
from simulations.policies.interface import Order
from simulations.run import simulate
from simulations.scenario import Scenario
from tests.unit.simulations.plant.plant_worlds import Arrivals, Script, service


class OneFewer:
    """Two replicas, of which one goes at 50 s."""

    period = 1.0
    urgent = False

    def __init__(self, *, idle_first: bool) -> None:
        self.idle_first = idle_first

    def step(self, observed: Observed) -> Order:
        return Order(1 if observed.at >= 50.0 else 2, idle_first=self.idle_first)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("idle_first", "cut"), [(True, 0), (False, 1)])
def test_without_deletion_costs_the_youngest_goes_busy_or_not(idle_first: bool, cut: int, compiled: bool) -> None:
    if compiled:
        pytest.importorskip("numba")
    # The second replica is ready at 10 s. The first is busy up to 20 s, so the long one goes to the second.
    trace = Arrivals([1.0, 12.0], [19.0, 100.0], span=200.0)
    spec = service("chat", limit=1, initial=1, drain_seconds=30.0)
    results = simulate(Scenario((spec,)), trace, [OneFewer(idle_first=idle_first)], compiled=compiled).results
    assert results.services[0].outcomes[Outcome.CUT] == cut


@pytest.mark.parametrize("compiled", [False, True])
def test_latencies_are_kept_for_as_many_as_are_asked_for(compiled: bool) -> None:
    if compiled:
        pytest.importorskip("numba")
    trace = Arrivals([1.0, 2.0, 995.0], [5.0, 1.0, 100.0])
    scenario = Scenario((service("chat", initial=1),))
    over = simulate(scenario, trace, [Script((0.0, 1))], compiled=compiled, keep_latencies=3)
    assert over.latencies is not None
    np.testing.assert_allclose(over.latencies, [5.0, 1.0, np.nan])
    assert simulate(scenario, trace, [Script((0.0, 1))], compiled=compiled).latencies is None
    two = simulate(scenario, trace, [Script((0.0, 1))], compiled=compiled, keep_latencies=2).latencies
    assert two is not None
    assert len(two) == 2
