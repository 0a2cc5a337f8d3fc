"""What a collector says of now: sums over sources with their age, and nothing unknown taken for zero."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import ReplicaCounts
from autoscaler.signals.reading import Known, Missing, Stale
from queue_proxy.messages import EngineStats
from tests.unit.signals.collector_sources import ACTIVATOR, REPLICA, START, Proxy, collect


def test_readings_are_the_sums_over_sources() -> None:
    collector = Collector(5.0)
    collector.receive(Proxy(running=3, waiting=1).read(), START)
    collector.receive(Proxy(source="chat-2", running=2).read(), START)
    collector.receive(Proxy(source=ACTIVATOR, running=4, waiting=7).read(), START)
    piece = collect(collector, START + 1.0, REPLICA, "chat-2")
    assert (piece.in_flight, piece.held, piece.queued) == (Known(6.0, 1.0), Known(7.0, 1.0), Known(1.0, 1.0))


def test_what_activators_have_forwarded_is_evidence_of_work() -> None:
    collector = Collector(5.0)
    collector.receive(Proxy().read(), START)
    collector.receive(Proxy(source=ACTIVATOR, running=4).read(), START)
    assert collect(collector, START, REPLICA).in_flight == Known(4.0, 0.0)


def test_a_ready_replica_that_was_not_heard_of_makes_what_is_in_flight_missing() -> None:
    collector = Collector(5.0)
    collector.receive(Proxy(running=3).read(), START)
    reading = collect(collector, START, REPLICA, "chat-2").in_flight
    assert isinstance(reading, Missing)
    assert "chat-2" in reading.why


@pytest.mark.parametrize(("age", "stale"), [(5.0, False), (5.1, True)])
def test_a_reading_is_stale_when_older_than_allowed(age: float, stale: bool) -> None:
    collector = Collector(5.0)
    collector.receive(Proxy(running=3).read(), START)
    collector.receive(Proxy(source=ACTIVATOR, waiting=2).read(), START)
    piece = collect(collector, START + age, REPLICA)
    kind = Stale if stale else Known
    assert isinstance(piece.in_flight, kind)
    assert isinstance(piece.held, kind)
    assert (piece.in_flight.value, piece.held.value) == (3.0, 2.0)


def test_without_an_activator_what_is_held_is_missing_not_zero() -> None:
    assert isinstance(collect(Collector(5.0), START).held, Missing)


def test_an_activator_that_is_gone_for_a_minute_is_not_waited_for_if_another_one_speaks() -> None:
    collector, other = Collector(5.0), Proxy(source="activator/b")
    collector.receive(Proxy(source=ACTIVATOR, waiting=2).read(), START)
    collector.receive(other.after(30.0), START + 30.0)
    assert collect(collector, START + 30.0).held == Stale(2.0, 30.0)
    collector.receive(other.after(31.0), START + 61.0)
    assert collect(collector, START + 61.0).held == Known(0.0, 0.0)


def test_service_seconds_are_those_of_recent_completions() -> None:
    collector, stats = Collector(5.0), Proxy().read()
    assert collect(collector, START).service_seconds is None
    collector.receive(stats, START)
    collector.receive(replace(stats, at=stats.at + 1, completed=10, service_seconds=20.0), START + 1.0)
    assert collect(collector, START + 1.0, REPLICA).service_seconds == 2.0
    collector.receive(replace(stats, at=stats.at + 601, completed=20, service_seconds=70.0), START + 601.0)
    assert collect(collector, START + 601.0, REPLICA).service_seconds == pytest.approx(5.0, rel=0.1)
    assert collect(collector, START + 9_000.0).service_seconds == pytest.approx(5.0, rel=0.1)


def test_engines_are_added_up_and_one_that_does_not_report_makes_them_missing() -> None:
    collector = Collector(5.0)
    for name, usage in ((REPLICA, 0.2), ("chat-2", 0.6)):
        engine = EngineStats(running=4.0, waiting=1.0, kv_cache_usage=usage)
        collector.receive(replace(Proxy(source=name).read(), engine=engine), START)
    piece = collect(collector, START, REPLICA, "chat-2")
    assert (piece.engine_running, piece.engine_waiting, piece.queued) == (Known(8.0), Known(2.0), Known(2.0))
    assert piece.kv_cache_usage == Known(0.4)
    collector.receive(Proxy(source="chat-3").read(), START)
    assert isinstance(collect(collector, START, REPLICA, "chat-3").engine_running, Missing)


def test_an_observation_is_what_was_told_and_what_the_cluster_knows() -> None:
    counts = ReplicaCounts(wanted=1, ready=1)
    observation = Collector(5.0).collect(
        START, ready=(), present=(), replicas=counts, wake_seconds=9.0, activator_confirmed=True, ever_ready=False
    )
    assert (observation.at, observation.replicas, observation.wake_seconds) == (START, counts, 9.0)


def test_an_activator_is_counted_for_as_long_as_its_numbers_are_believed() -> None:
    collector = Collector(stale_after_seconds=100.0)
    for name in ("activator/one", "activator/two"):
        collector.receive(Proxy(source=name, waiting=2).read(), START)
    assert collect(collector, START + 90.0).held == Known(4.0, 90.0)


def test_whom_an_activator_that_said_goodbye_holds_is_known_to_be_nobody() -> None:
    collector, stays, goes = Collector(5.0), Proxy(source=ACTIVATOR), Proxy(source="activator/b")
    for proxy in (stays, goes):
        collector.receive(proxy.read(), START)
    collector.receive(stays.after(20.0), START + 20.0)
    assert not isinstance(collect(collector, START + 20.0).held, Known)
    collector.leave("activator/b")
    assert collect(collector, START + 20.0).held == Known(0.0, 0.0)


def test_completions_add_up_over_replicas_and_restarts_and_what_was_before_they_were_heard_of_is_none() -> None:
    collector, one, two = Collector(5.0), Proxy(completed=700), Proxy("chat-2")
    activator = Proxy(ACTIVATOR)
    for source in (one, two, activator):
        collector.receive(source.read(), START)
    assert collect(collector, START, "chat-1", "chat-2").completed == 0.0
    one.completed, two.completed, activator.completed = 705, 2, 9
    for source in (one, two, activator):
        collector.receive(source.after(1.0), START + 1.0)
    assert collect(collector, START + 1.0, "chat-1", "chat-2").completed == 7.0
    restarted = Proxy(epoch="second", completed=3)
    collector.receive(restarted.read(), START + 2.0)
    collector.receive(one.after(1.0), START + 2.1)  # of the process that has ended, and late
    collector.leave("chat-2")
    assert collect(collector, START + 2.2, "chat-1").completed == 10.0
