"""Where replicas' readings are lost, the plant tells what the controller's own Collector makes of those that come."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import pytest

from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import Sample
from autoscaler.signals.reading import Known, Reading, Stale
from queue_proxy.messages import Stats
from simulations.plant.lost_readings import LostReadings
from simulations.plant.plant import SimulatedPlant
from simulations.plant.records import Told
from simulations.scenario import MetricsPath, Scenario
from tests.unit.simulations.plant.plant_worlds import Arrivals, service

_REPLICAS = 4
_RUNNING = 3
_NUMBERS = [field.name for field in fields(Told)]
_IN_FLIGHT, _HELD = _NUMBERS.index("in_flight"), _NUMBERS.index("held")


@pytest.mark.parametrize("loss", [0.2, 0.7])
def test_lost_readings_are_told_of_as_the_collector_tells_of_them(loss: float) -> None:
    readings = LostReadings(0, loss, 5.0, seed=5)
    collector = Collector(stale_after_seconds=5.0)
    names = [f"r{number}" for number in range(_REPLICAS)]
    ours: Counter[int] = Counter()
    theirs: Counter[int] = Counter()
    late, load = 0, float(_REPLICAS * _RUNNING)
    for now in range(1, 300):
        readings.hear(now, _REPLICAS)
        for name, last in zip(names, readings._last, strict=True):
            if last == now:
                collector.receive(Stats(name, "1", float(now), _RUNNING * float(now), running=_RUNNING), float(now))
        seconds = range(readings.first_missing, now)
        told = readings.samples([Sample(second, load, 0.0, 0.0) for second in seconds])
        late += len({sample.second for sample in told} & set(ours))
        ours.update({sample.second: round(sample.concurrency * 1e6) for sample in told})
        collected = collector.collect(float(now), ready=names, present=names)
        for sample in collected.samples:
            theirs[sample.second] += round(sample.concurrency * 1e6)
        assert _age(collected.in_flight) == now - readings.oldest
        if now > 20:  # the first reading of a source has no past
            assert _sum(ours, 10) == pytest.approx(_sum(theirs, 10), abs=50)
    assert late > 0
    assert all(ours[second] == round(load * 1e6) for second in range(1, 290 if loss < 0.5 else 250))


def test_what_is_in_flight_is_each_replicas_last_word() -> None:
    readings = LostReadings(0, 0.5, 5.0, seed=1)
    for now in range(1, 50):
        readings.hear(now, 2)
        if len(readings.older()) == 1 and readings.oldest == now - 1:
            break
    now_head, before_head = [0.0] * len(_NUMBERS), [0.0] * len(_NUMBERS)
    now_head[_IN_FLIGHT], before_head[_IN_FLIGHT] = 8.0, 4.0
    now_head[_HELD], before_head[_HELD] = 5.0, 1.0
    mixed = readings.mixed(now_head, {now - 1: before_head})
    assert (mixed[_IN_FLIGHT], mixed[_HELD]) == (6.0, 5.0)  # what activators hold is not lost


def test_an_activator_in_the_path_knows_what_it_has_forwarded() -> None:
    trace = Arrivals([0.5 * number for number in range(100)], [30.0] * 100, span=60.0)
    spec = Scenario((service(initial=2),), metrics=MetricsPath(0.0, 0.5))
    plant = SimulatedPlant(spec, trace, compiled=False)
    plant.order(0, 2)
    for now in range(1, 28):
        plant.advance(float(now))
        assert plant.observe(0).in_flight == pytest.approx(2.0 * now, abs=1.0)


@pytest.mark.parametrize("replicas", [1, 3])
def test_nothing_is_lost_for_good(replicas: int) -> None:
    trace = Arrivals([0.5 * number for number in range(100)], [1.0] * 100, span=200.0)
    told = []
    for loss in (0.0, 0.3):
        spec = Scenario((service(limit=1, initial=replicas),), metrics=MetricsPath(0.0, loss))
        plant = SimulatedPlant(spec, trace, compiled=False)
        plant.order(0, replicas)
        samples: list[Sample] = []
        for now in range(1, 200):
            plant.advance(float(now))
            samples += plant.observe(0).samples
        told.append([sum(getattr(sample, name) for sample in samples) for name in ("concurrency", "rps", "waiting")])
    assert told[1] == pytest.approx(told[0])


def _age(reading: Reading) -> float:
    assert isinstance(reading, Known | Stale)
    return reading.age


def _sum(counts: Counter[int], first: int) -> int:
    return sum(amount for second, amount in counts.items() if second >= first)
