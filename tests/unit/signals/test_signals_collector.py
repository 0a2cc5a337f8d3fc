"""From Stats to samples and readings: nothing lost, nothing counted twice, nothing unknown taken for zero."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Stale
from queue_proxy.messages import EngineStats, SecondStats, Stats

START = 1_700_000_000.0
REPLICA, ACTIVATOR = "chat-1", "activator/a"


@dataclass
class Proxy:
    """A source with a clock of its own and a constant load; counts as a real one does."""

    source: str = REPLICA
    epoch: str = "first"
    clock: float = 5_000.0
    running: int = 0
    waiting: int = 0
    rate: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0
    arrivals: float = 0.0
    completed: int = 0

    def after(self, seconds: float) -> Stats:
        """Let time pass, then read."""
        self.clock += seconds
        self.busy_seconds += self.running * seconds
        self.waiting_seconds += self.waiting * seconds
        self.arrivals += self.rate * seconds
        return self.read()

    def read(self) -> Stats:
        return Stats(
            source=self.source,
            epoch=self.epoch,
            at=self.clock,
            busy_seconds=self.busy_seconds,
            waiting_seconds=self.waiting_seconds,
            arrived=round(self.arrivals),
            completed=self.completed,
            running=self.running,
            waiting=self.waiting,
        )


def collect(collector: Collector, now: float, *ready: str) -> Observation:
    return collector.collect(now, ready=ready, present=ready)


def by_second(*pieces: Observation) -> dict[int, Sample]:
    """Samples of each second added up, seconds counted from the start."""
    total: dict[int, Sample] = {}
    for piece in pieces:
        for s in piece.samples:
            key = s.second - int(START)
            t = total.get(key, Sample(key, 0.0, 0.0))
            total[key] = Sample(key, t.concurrency + s.concurrency, t.rps + s.rps, t.waiting + s.waiting)
    return total


def area(*pieces: Observation) -> float:
    return math.fsum(sample.concurrency for piece in pieces for sample in piece.samples)


def test_the_difference_of_two_readings_is_what_happened_between_them() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3, waiting=2, rate=4.0)
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(2.0), START + 2.0)
    samples = by_second(collect(collector, START + 2.0, REPLICA))
    assert samples == {0: Sample(0, 5.0, 4.0, 2.0), 1: Sample(1, 5.0, 4.0, 2.0)}


def test_a_lost_scrape_loses_nothing() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(1.0), START + 1.0)
    proxy.after(1.0)
    proxy.after(1.0)
    first = collect(collector, START + 3.5, REPLICA)
    collector.receive(proxy.after(1.0), START + 4.0)
    second = collect(collector, START + 4.0, REPLICA)
    assert [s.second - START for s in second.samples] == [1.0, 2.0, 3.0]
    assert {s: sample.concurrency for s, sample in by_second(first, second).items()} == dict.fromkeys(range(4), 3.0)


def test_an_idle_source_says_zero_and_a_silent_one_says_nothing() -> None:
    collector, proxy = Collector(5.0), Proxy()
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(1.0), START + 1.0)
    assert collect(collector, START + 1.0, REPLICA).samples == (Sample(int(START), 0.0, 0.0, 0.0),)
    assert collect(collector, START + 2.0, REPLICA).samples == ()


def test_a_second_is_handed_on_once_everybody_has_told_of_it() -> None:
    collector, one, two = Collector(5.0), Proxy(running=1), Proxy(source="chat-2", running=2)
    for proxy in (one, two):
        collector.receive(proxy.read(), START)
    collector.receive(one.after(1.2), START + 1.2)
    collector.receive(two.after(0.7), START + 0.7)
    assert collect(collector, START + 1.2, REPLICA, "chat-2").samples == ()
    collector.receive(two.after(0.8), START + 1.5)
    samples = collect(collector, START + 1.5, REPLICA, "chat-2").samples
    assert [sample.concurrency for sample in samples] == [pytest.approx(3.0)]


def test_but_nobody_is_waited_for_longer_than_two_seconds() -> None:
    collector, one, two = Collector(5.0), Proxy(running=1), Proxy(source="chat-2", running=2)
    for proxy in (one, two):
        collector.receive(proxy.read(), START)
    collector.receive(one.after(3.5), START + 3.5)
    early = collect(collector, START + 3.5, REPLICA, "chat-2")
    assert {s: x.concurrency for s, x in by_second(early).items()} == {0: pytest.approx(1.0)}
    collector.receive(two.after(4.0), START + 4.0)
    collector.receive(one.after(0.5), START + 4.0)
    late = collect(collector, START + 4.0, REPLICA, "chat-2")
    assert {s: x.concurrency for s, x in by_second(early, late).items()} == {k: pytest.approx(3.0) for k in range(4)}


def test_a_replica_that_is_gone_is_not_waited_for() -> None:
    collector, stays, goes = Collector(5.0), Proxy(running=1), Proxy(source="chat-2", running=2)
    for proxy in (stays, goes):
        collector.receive(proxy.read(), START)
    collector.receive(goes.after(0.5), START + 0.5)
    collector.receive(stays.after(1.2), START + 1.2)
    samples = collect(collector, START + 1.2, REPLICA).samples
    assert [sample.concurrency for sample in samples] == [pytest.approx(2.0)]


def test_of_an_activator_only_what_waits_is_load() -> None:
    collector, activator, replica = Collector(5.0), Proxy(source=ACTIVATOR, running=4, waiting=2), Proxy(running=4)
    for proxy in (activator, replica):
        collector.receive(proxy.read(), START)
        collector.receive(proxy.after(1.0), START + 1.0)
    samples = by_second(collect(collector, START + 1.0, REPLICA))
    assert (samples[0].concurrency, samples[0].waiting) == (6.0, 2.0)


def test_a_request_that_passes_the_hold_arrives_once() -> None:
    collector = Collector(5.0)
    held = Stats(source=ACTIVATOR, epoch="e", at=10.0, arrived=50)
    replica = Stats(source=REPLICA, epoch="e", at=10.0, arrived=50)
    for stats in (held, replica):
        collector.receive(stats, START)
    collector.receive(replace(held, at=11.0, arrived=53, waiting=3), START + 1.0)
    collector.receive(replace(replica, at=11.0), START + 1.0)
    collector.receive(replace(held, at=12.0, arrived=53, running=3), START + 2.0)
    collector.receive(replace(replica, at=12.0, arrived=53, running=3), START + 2.0)
    arrived = {s: x.rps for s, x in by_second(collect(collector, START + 2.0, REPLICA)).items()}
    assert arrived == {0: 3.0, 1: 0.0}


def test_a_restarted_source_begins_at_zero_and_nothing_it_counts_is_lost() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    proxy.busy_seconds = 1_000.0
    collector.receive(proxy.read(), START)
    restarted = Proxy(epoch="second", clock=1.0, running=2)
    collector.receive(restarted.after(1.0), START + 2.0)
    assert area(collect(collector, START + 2.0, REPLICA)) == pytest.approx(2.0)
    collector.receive(proxy.after(1.0), START + 2.1)  # a reading of the old epoch that was under way
    collector.receive(restarted.after(1.0), START + 3.0)
    assert area(collect(collector, START + 3.0, REPLICA)) == pytest.approx(2.0)


def test_a_reading_that_was_overtaken_says_nothing_new() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(proxy.read(), START)
    older, newer = proxy.after(1.0), proxy.after(1.0)
    collector.receive(newer, START + 2.0)
    collector.receive(older, START + 2.1)
    assert area(collect(collector, START + 2.1, REPLICA)) == pytest.approx(6.0)


def test_counters_that_fall_within_an_epoch_are_not_believed() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3, busy_seconds=100.0)
    collector.receive(proxy.read(), START)
    collector.receive(replace(proxy.after(1.0), busy_seconds=5.0), START + 1.0)
    assert area(collect(collector, START + 1.0, REPLICA)) == 0.0


def test_numbers_beyond_all_honesty_stay_finite() -> None:
    collector, proxy = Collector(5.0), Proxy()
    collector.receive(proxy.read(), START)
    collector.receive(replace(proxy.after(1.0), busy_seconds=1e308, waiting_seconds=1e308), START + 1.0)
    assert area(collect(collector, START + 1.0, REPLICA)) <= 2e6


def test_a_delayed_message_does_not_move_the_load_of_its_time() -> None:
    collector, proxy = Collector(5.0), Proxy(running=10)
    collector.receive(proxy.read(), START)
    for second in (1.0, 2.0):
        collector.receive(proxy.after(1.0), START + second)
    delayed = proxy.after(1.0)
    collector.receive(delayed, START + 3.9)
    collector.receive(proxy.after(1.0), START + 4.0)
    samples = by_second(collect(collector, START + 4.0, REPLICA))
    assert [samples[s].concurrency for s in range(4)] == pytest.approx([10.0] * 4, rel=0.01)


def test_history_fills_the_seconds_before_a_source_was_first_heard() -> None:
    collector, proxy = Collector(5.0), Proxy(running=4, busy_seconds=1_000.0)
    rows = tuple(SecondStats(age=float(age), busy=4.0, waited=1.0, arrived=7) for age in range(59, -1, -1))
    collector.receive(replace(proxy.read(), seconds=rows), START)
    piece = collect(collector, START, REPLICA)
    assert len(piece.samples) == 60
    assert {(s.concurrency, s.rps, s.waiting) for s in piece.samples} == {(5.0, 7.0, 1.0)}
    collector.receive(replace(proxy.after(1.0), seconds=rows), START + 1.0)
    assert area(collect(collector, START + 1.0, REPLICA)) == pytest.approx(4.0)  # history is believed once


def test_an_urgent_push_counts_at_once_though_it_has_no_area_yet() -> None:
    collector, activator = Collector(5.0), Proxy(source=ACTIVATOR)
    collector.receive(activator.read(), START)
    activator.after(0.5)
    activator.waiting = 1
    collector.receive(activator.read(), START + 0.5, urgent=True)
    piece = collect(collector, START + 0.5)
    assert piece.samples == (Sample(int(START), 1.0, 1.0, 1.0),)
    assert piece.held == Known(1.0, 0.0)


def test_what_was_announced_is_discounted_from_what_the_source_then_reports() -> None:
    collector, activator = Collector(5.0), Proxy(source=ACTIVATOR)
    collector.receive(activator.read(), START)
    activator.after(0.5)
    activator.waiting = 1
    collector.receive(activator.read(), START + 0.5, urgent=True)
    pieces = [collect(collector, START + 0.5)]
    collector.receive(activator.after(0.5), START + 1.0)
    collector.receive(activator.after(1.0), START + 2.0)
    pieces.append(collect(collector, START + 2.0))
    samples = by_second(*pieces)
    assert samples[0] == Sample(0, 1.0, 1.0, 1.0)  # not 1.5
    assert samples[1].concurrency == pytest.approx(1.0)


def test_several_urgent_pushes_in_one_second_announce_what_is_held_and_no_more() -> None:
    collector, activator = Collector(5.0), Proxy(source=ACTIVATOR)
    collector.receive(activator.read(), START)
    pieces = []
    for waiting in (1, 2, 3):
        stats = activator.after(0.1)
        activator.waiting = waiting
        collector.receive(replace(stats, waiting=waiting), START + waiting / 10, urgent=True)
        pieces.append(collect(collector, START + waiting / 10))
    assert area(*pieces) == 3.0
    assert math.fsum(sample.rps for piece in pieces for sample in piece.samples) == 3.0


def test_a_first_push_that_is_urgent_counts_too() -> None:
    collector = Collector(5.0)
    collector.receive(Proxy(source=ACTIVATOR, waiting=2, waiting_seconds=900.0).read(), START, urgent=True)
    assert collect(collector, START).samples == (Sample(int(START), 2.0, 2.0, 2.0),)


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


def test_a_gone_replica_is_forgotten_after_its_last_counts() -> None:
    collector, proxy = Collector(5.0), Proxy(running=3)
    collector.receive(proxy.read(), START)
    collector.receive(proxy.after(1.0), START + 1.0)
    piece = collect(collector, START + 1.0)
    assert area(piece) == 3.0
    assert piece.in_flight == Known(0.0, 0.0)
    collector.receive(proxy.after(0.5), START + 1.5)  # the scrape that was under way
    assert area(collect(collector, START + 4.0)) == pytest.approx(1.5)
    collect(collector, START + 200.0)
    collector.receive(proxy.after(200.0), START + 201.5)
    assert area(collect(collector, START + 204.0)) == 0.0, "what it did since is not known any more"


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


INTERVALS = st.lists(
    st.tuples(st.floats(0.05, 4.0), st.integers(0, 20), st.integers(0, 5), st.floats(0, 0.5)), max_size=25
)


@settings(deadline=None, max_examples=60)
@given(INTERVALS)
def test_every_request_second_is_counted_exactly_once(intervals: list[tuple[float, int, int, float]]) -> None:
    collector, proxy, now = Collector(5.0), Proxy(), START
    collector.receive(proxy.read(), START)
    pieces = []
    for seconds, running, waiting, delay in intervals:
        proxy.running, proxy.waiting = running, waiting
        stats = proxy.after(seconds)
        now += seconds
        collector.receive(stats, now + delay)
        pieces.append(collect(collector, now + delay, REPLICA))
    pieces.append(collect(collector, now + 10.0, REPLICA))
    assert area(*pieces) == pytest.approx(proxy.busy_seconds + proxy.waiting_seconds, abs=1e-6)


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
