"""What the plant tells is what the controller's own Collector makes of the Stats of its sources."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autoscaler.signals.collector import Collector
from queue_proxy.messages import Stats
from simulations.plant.plant import SimulatedPlant
from simulations.scenario import MetricsPath, Scenario
from tests.unit.simulations.plant.plant_worlds import Arrivals, service


def test_samples_are_those_of_the_collector() -> None:
    random = np.random.default_rng(3)
    at = np.sort(random.uniform(0.0, 100.0, 80))
    trace = Arrivals(at, random.exponential(2.0, 80), span=400.0)  # type: ignore[arg-type]
    plant = SimulatedPlant(Scenario((service(limit=1),), metrics=MetricsPath(delay=0.0)), trace, compiled=False)
    collector = Collector(stale_after_seconds=5.0)
    theirs: Counter[int] = Counter()
    ours: Counter[int] = Counter()
    their_arrivals = our_arrivals = busy = waited = 0.0
    known: list[tuple[float, float]] = []
    for now in range(1, 400):
        if now == 12:
            plant.order(0, 1)
        plant.advance(float(now))
        observed = plant.observe(0)
        for sample in observed.samples:
            ours[sample.second] += round(sample.concurrency * 1e6)
            our_arrivals += sample.rps
            busy += sample.concurrency - sample.waiting
            waited += sample.waiting
        held, running = int(observed.held), int(observed.in_flight)
        # One replica and one activator: nobody waits in the queue proxy, and who waits is not in the replica.
        replica = Stats(
            "r",
            "1",
            float(now),
            busy,
            arrived=running + observed.completed,
            completed=observed.completed,
            running=running,
        )
        activator = Stats("activator/a", "1", float(now), waiting_seconds=waited, waiting=held, running=running)
        collector.receive(replica, float(now))
        collector.receive(activator, float(now))
        collected = collector.collect(float(now), ready=["r"], present=["r"])
        for sample in collected.samples:
            theirs[sample.second] += round(sample.concurrency * 1e6)
            their_arrivals += sample.rps
        known.append((collected.completed, observed.completed))
        known.append((getattr(collected.held, "value", -1.0), held))
        known.append((getattr(collected.in_flight, "value", -1.0), running))
    assert all(said == was for said, was in known)
    # The collector's first reading of a source has no past: what was before it is not counted there.
    seconds = range(2, 399)
    assert [theirs[second] for second in seconds] == pytest.approx([ours[second] for second in seconds], abs=5)
    assert their_arrivals == pytest.approx(our_arrivals, abs=2)
