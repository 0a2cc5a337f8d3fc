"""What the plant tells is what the controller's own Collector makes of the Stats of its sources."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import Sample
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
        known.append((collected.completed or 0.0, observed.completed))
        known.append((getattr(collected.held, "value", -1.0), held))
        known.append((getattr(collected.in_flight, "value", -1.0), running))
    assert all(said == was for said, was in known)
    # The collector's first reading of a source has no past: what was before it is not counted there.
    seconds = range(2, 399)
    assert [theirs[second] for second in seconds] == pytest.approx([ours[second] for second in seconds], abs=5)
    assert their_arrivals == pytest.approx(our_arrivals, abs=2)


# Everything happens at odd multiples of a 128th of a second: never at a reading, and between two of them nothing does.
_GRID = 128


@pytest.mark.parametrize(("scrape_at", "push_at"), [(0.25, 0.75), (0.75, 0.25), (0.0, 0.5), (0.5, 0.0)])
def test_what_is_told_in_parts_of_a_second_is_what_the_collector_makes_of_it(scrape_at: float, push_at: float) -> None:
    random = np.random.default_rng(7)
    at = np.sort(2 * random.integers(6 * _GRID, 30 * _GRID, 90) + 1) / _GRID
    trace = Arrivals(at, 2 * random.integers(1, _GRID, 90) / _GRID, span=80.0)  # type: ignore[arg-type]
    path = MetricsPath(0.0, scrape_at=scrape_at, push_at=push_at)
    plant = SimulatedPlant(Scenario((service(limit=2, initial=1),), metrics=path), trace, compiled=False)
    plant.order(0, 1)
    collector = Collector(stale_after_seconds=5.0)
    busy = waited = 0.0
    compared = 0
    for tick in range(1, 70 * _GRID):
        now = tick / _GRID
        before = plant.services()[0]
        running, held = before.in_flight, before.held
        plant.advance(now)
        busy += running / _GRID
        waited += held / _GRID
        there = plant.services()[0]
        forwarded = there.in_flight + there.done_attempts
        if now % 1.0 == scrape_at:
            stats = Stats(
                "r", "1", now, busy, arrived=forwarded, completed=there.done_attempts, running=there.in_flight
            )
            collector.receive(stats, now)
        if now % 1.0 == push_at:
            activator = Stats("activator/a", "1", now, 0.0, waited, waiting=there.held, running=there.in_flight)
            collector.receive(activator, now)
        if now % 2.0 == 1.875:
            observed = plant.observe(0)
            collected = collector.collect(now, ready=["r"], present=["r"])
            if now > 4.0:  # the first reading of a source has no past
                ours = [each for sample in observed.samples for each in _numbers(sample)]
                theirs = [each for sample in collected.samples for each in _numbers(sample)]
                assert ours == pytest.approx(theirs)
                assert observed.observation().in_flight == collected.in_flight
                assert observed.observation().held == collected.held
                compared += sum(sample.waiting > 0.0 for sample in observed.samples)
    assert compared > 20


def _numbers(sample: Sample) -> tuple[float, ...]:
    return sample.second, sample.concurrency, sample.rps, sample.waiting
