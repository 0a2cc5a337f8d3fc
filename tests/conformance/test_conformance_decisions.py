"""Knative's decision, rule by rule, for policies in Knative's terms."""

from __future__ import annotations

import pytest

from autoscaler.decide.backlog import track_backlog
from autoscaler.decide.decide import decide
from autoscaler.decide.decision import Decision, LimitName, Reason, Signal
from autoscaler.decide.delay import delayed
from autoscaler.decide.panic import follow_panic, never_below_most
from autoscaler.decide.rates import rate_limits
from autoscaler.decide.state import Backlog, Panic, Readings, State, initial_state
from autoscaler.decide.target import total_target, utilized_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing
from tests.unit.decide.decide_scenarios import START, VirtualService, knative_policy, limit_names, observation


def decided(
    policy: ScalingPolicy, *, stable: float, panic: float, ready: int, state: State | None = None, at: float = START
) -> tuple[Decision, State]:
    """One decision on given averages."""
    seen = observation(at, wanted=ready, ready=ready, in_flight=Known(0.0))
    state = state or initial_state(policy, observation(at, wanted=min(ready, 1), ready=min(ready, 1)))
    assert track_backlog(policy, Backlog(), seen, at, at) == Backlog()
    readings = Readings(seen, Known(stable), Known(panic), Missing(""), None, Backlog())
    return decide(policy, readings, state, at, "default/chat")


@pytest.mark.parametrize(
    ("settings", "total", "utilized"),
    [
        pytest.param({}, 100.0, 70.0, id="the default"),
        pytest.param({"container_concurrency": 1}, 1.0, 0.7, id="the hard limit is the target"),
        pytest.param({"target": 5.0, "container_concurrency": 10}, 5.0, 3.5, id="a target below it replaces it"),
        pytest.param({"target": 50.0, "container_concurrency": 10}, 10.0, 7.0, id="one above it is capped"),
        pytest.param(
            {"metric": Metric.RPS, "target": 200.0, "container_concurrency": 10}, 200.0, 140.0, id="rps ignores it"
        ),
        pytest.param({"target": 0.01, "target_utilization": 0.1}, 0.01, 0.01, id="never below a hundredth"),
    ],
)
def test_the_target_is_resolved(settings: dict[str, object], total: float, utilized: float) -> None:
    policy = knative_policy(**settings)
    assert total_target(policy) == total
    assert utilized_target(policy) == pytest.approx(utilized)


@pytest.mark.parametrize(
    ("ready", "up", "down", "least", "most"),
    [(0, 1000.0, 2.0, 0, 1000), (1, 1000.0, 2.0, 0, 1000), (3, 1.1, 2.0, 1, 4), (7, 10.0, 3.0, 2, 70)],
)
def test_rates_are_relative_to_ready_replicas_and_round_outwards(
    ready: int, up: float, down: float, least: int, most: int
) -> None:
    limits = rate_limits(
        knative_policy(max_scale_up_rate=up, max_scale_down_rate=down),
        ReplicaCounts(wanted=ready + 5, ready=ready, starting=5),
    )
    assert (limits.least, limits.most) == (least, most)


@pytest.mark.parametrize(
    ("stable", "ready", "desired"),
    [(0.5, 1, 1), (7.0, 1, 1), (7.000001, 1, 2), (70.0, 10, 10), (3.0, 9, 4), (200.0, 9, 29)],
)
def test_the_stable_average_is_divided_by_the_target_and_rounded_up(stable: float, ready: int, desired: int) -> None:
    decision, _ = decided(knative_policy(target=10.0), stable=stable, panic=0.0, ready=ready)
    assert decision.desired == desired


def test_a_slow_rate_still_allows_one_more() -> None:
    policy = knative_policy(target=10.0, max_scale_up_rate=1.1)
    decision, _ = decided(policy, stable=100.0, panic=0.0, ready=2)
    assert decision.desired == 3
    assert limit_names(decision) == (LimitName.SCALE_UP_RATE,)


@pytest.mark.parametrize(
    ("stable", "panic", "scale", "up", "desired", "winner"),
    [
        pytest.param(1.0, 0.0, 3, 1000.0, 3, Signal.ACTIVATION_SCALE, id="raises any load"),
        pytest.param(1.0, 0.0, 3, 1.1, 3, Signal.ACTIVATION_SCALE, id="even above the upper rate"),
        pytest.param(28.0, 0.0, 3, 1000.0, 4, Signal.CONCURRENCY_STABLE, id="lowers nothing"),
        pytest.param(1.0, 0.0, 1, 1000.0, 1, Signal.CONCURRENCY_STABLE, id="one is no effect"),
    ],
)
def test_activation_scale(stable: float, panic: float, scale: int, up: float, desired: int, winner: Signal) -> None:
    policy = knative_policy(target=10.0, activation_scale=scale, max_scale_up_rate=up)
    decision, _ = decided(policy, stable=stable, panic=panic, ready=1)
    assert (decision.desired, decision.winner) == (desired, winner)


@pytest.mark.parametrize(
    ("wanted", "base", "panics"), [(3, 2, False), (4, 2, True), (5, 2, True), (2, 1, True), (1, 1, False)]
)
def test_panic_begins_at_the_threshold_equality_included(wanted: int, base: int, panics: bool) -> None:
    assert (follow_panic(knative_policy(), Panic(), wanted, base, START).since is not None) is panics


@pytest.mark.parametrize(("passed", "still"), [(59.9, True), (60.0, True), (60.1, False)])
def test_panic_ends_strictly_after_the_stable_window_and_forgets_its_maximum(passed: float, still: bool) -> None:
    panic = follow_panic(knative_policy(), Panic(float(START), 7), 1, 2, START + passed)
    assert panic == (Panic(float(START), 7) if still else Panic())


def test_panic_is_prolonged_while_over_the_threshold_and_keeps_its_maximum() -> None:
    assert follow_panic(knative_policy(), Panic(float(START), 7), 4, 2, START + 500.0) == Panic(START + 500.0, 7)
    assert never_below_most(Panic(0.0, 7), 5) == Panic(0.0, 7)
    assert never_below_most(Panic(0.0, 7), 9) == Panic(0.0, 9)


def test_the_threshold_looks_at_the_wish_before_the_rates_clamp_it() -> None:
    policy = knative_policy(target=10.0, max_scale_up_rate=1.1)
    decision, _ = decided(policy, stable=0.0, panic=140.0, ready=10)
    assert decision.panic
    assert decision.desired == 11


def test_in_panic_the_larger_of_both_windows_counts_and_nothing_goes_down() -> None:
    policy = knative_policy(target=10.0)
    decision, state = decided(policy, stable=10.0, panic=70.0, ready=2)
    assert (decision.desired, decision.winner, decision.reason) == (10, Signal.CONCURRENCY_PANIC, Reason.PANIC)
    decision, state = decided(policy, stable=10.0, panic=10.0, ready=10, state=state, at=START + 2)
    assert decision.desired == 10
    assert limit_names(decision)[-1] is LimitName.PANIC_HOLDS
    decision, state = decided(policy, stable=10.0, panic=10.0, ready=10, state=state, at=START + 60)
    assert decision.desired == 10
    decision, _ = decided(policy, stable=35.0, panic=10.0, ready=10, state=state, at=START + 62)
    assert (decision.desired, decision.panic) == (5, False)


def test_a_decider_made_with_several_ready_replicas_begins_in_panic_and_cannot_go_down_for_a_window() -> None:
    service = VirtualService(knative_policy(), wanted=4)
    assert service.run(60.0).desired == 4
    assert service.step().desired == 4  # panic began with the first observation, 2 s later
    assert service.step().desired == 2


def test_a_decider_made_with_one_ready_replica_does_not() -> None:
    assert initial_state(knative_policy(), observation(START, wanted=1, ready=1)).panic == Panic(None, 1)


def test_idle_replicas_are_halved_each_tick() -> None:
    service = VirtualService(knative_policy(), wanted=100)
    service.run(60.0)  # begun in panic, for one stable window
    assert service.wanted == 100
    asked = [service.step() for _ in range(9)]
    assert [decision.desired for decision in asked[1:]] == [50, 25, 12, 6, 3, 1, 1, 0]
    # The load's own wish is zero 14 s after the window; the last replica waits one look for the activator.
    assert asked[7].limits[-1].name is LimitName.GRACE_PERIOD


@pytest.mark.parametrize(("ready", "expected"), [(100, 50), (50, 25), (25, 12), (12, 6), (6, 3), (3, 1)])
def test_one_idle_evaluation_halves(ready: int, expected: int) -> None:
    decision, _ = decided(knative_policy(), stable=0.0, panic=0.0, ready=ready)
    assert decision.desired == expected


@pytest.mark.parametrize(("delay", "acts_as"), [(1.0, 2), (2.0, 2), (5.0, 6), (6.0, 6), (60.0, 60)])
def test_a_delay_acts_in_slots_of_two_seconds_odd_ones_rounded_up(delay: float, acts_as: int) -> None:
    slots, result = delayed((), 10, delay, START)
    passed = 0
    while result == 10:
        passed += 2
        slots, result = delayed(slots, 1, delay, START + passed)
    assert passed == acts_as


def test_within_a_slot_of_the_delay_the_larger_number_counts() -> None:
    slots, _ = delayed((), 5, 2.0, START)
    slots, result = delayed(slots, 1, 2.0, START + 1.0)
    assert result == 5
    slots, result = delayed(slots, 8, 2.0, START + 1.5)
    assert result == 8


def test_without_a_delay_nothing_is_remembered() -> None:
    assert delayed(((1, 5),), 2, 0.0, START) == ((), 2)


@pytest.mark.parametrize(
    ("ready", "panic", "settings", "excess"),
    [
        pytest.param(1, 0.0, {}, -111, id="default burst, one replica"),
        pytest.param(2, 0.0, {}, -11, id="two"),
        pytest.param(3, 0.0, {}, 89, id="three"),
        pytest.param(3, 0.5, {}, 88, id="rounded down"),
        pytest.param(2, 0.5, {}, -12, id="down below zero too"),
        pytest.param(0, 0.0, {}, -211, id="the real count, not at least one"),
        pytest.param(9, 500.0, {"target_burst_capacity": 0.0}, 0, id="0 is 0"),
        pytest.param(9, 500.0, {"target_burst_capacity": -1.0}, -1, id="−1 is −1"),
        pytest.param(211, 0.0, {"container_concurrency": 1}, 0, id="hard limit 1 needs 211 replicas"),
        pytest.param(210, 0.0, {"container_concurrency": 1}, -1, id="210 do not do"),
    ],
)
def test_excess_burst_capacity(ready: int, panic: float, settings: dict[str, object], excess: int) -> None:
    policy = knative_policy(**settings)
    decision, _ = decided(policy, stable=panic, panic=panic, ready=ready)
    assert decision.excess_burst_capacity == excess
    assert decision.activator_in_path is (excess < 0 or ready == 0)


@pytest.mark.parametrize(
    ("settings", "excess"),
    [
        ({"target_burst_capacity": -1.0}, -1),
        ({"target_burst_capacity": 0.0}, 0),
        ({}, -111),
        ({"initial_scale": 3, "target_burst_capacity": 200.5}, 99),
        ({"initial_scale": 1, "target_burst_capacity": 200.5}, -100),
    ],
)
def test_excess_burst_capacity_before_the_first_evaluation_is_cut_towards_zero(
    settings: dict[str, object], excess: int
) -> None:
    assert initial_state(knative_policy(**settings), observation(START)).excess_burst == excess


def test_without_data_nothing_changes() -> None:
    service = VirtualService(knative_policy(), wanted=5, measured=False)
    decision = service.run(300.0)
    assert (decision.desired, decision.reason, decision.winner) == (5, Reason.UNKNOWN_LOAD, None)


def test_with_the_activator_always_in_the_path_no_data_reads_as_no_load() -> None:
    service = VirtualService(knative_policy(target_burst_capacity=-1.0), wanted=1, measured=False)
    service.run_until(0, within=100.0)


@pytest.mark.parametrize(
    ("minimum", "maximum", "stable", "desired", "limit"),
    [
        (0, 0, 200.0, 20, None),
        (0, 4, 200.0, 4, LimitName.MAX_REPLICAS),
        (3, 9, 10.0, 3, LimitName.MIN_REPLICAS),
        (3, 3, 200.0, 3, LimitName.MAX_REPLICAS),
    ],
)
def test_bounds(minimum: int, maximum: int, stable: float, desired: int, limit: LimitName | None) -> None:
    policy = knative_policy(target=10.0, target_utilization=1.0, min_replicas=minimum, max_replicas=maximum)
    decision, _ = decided(policy, stable=stable, panic=0.0, ready=3)
    assert decision.desired == desired
    assert limit is None or limit in limit_names(decision)


def test_the_initial_scale_is_the_minimum_until_it_was_reached_once() -> None:
    policy = knative_policy(initial_scale=3, scale_down_delay_seconds=0.0)
    service = VirtualService(policy, wanted=0, start_seconds=20.0, ever_ready=False, measured=False)
    assert service.step().desired == 3
    assert LimitName.INITIAL_SCALE in limit_names(service.decisions[-1])
    service.measured = True
    service.run_until(1, within=100.0)


def test_an_initial_scale_of_zero_starts_asleep() -> None:
    service = VirtualService(knative_policy(initial_scale=0), wanted=0, ever_ready=False, measured=False)
    assert (service.run(10.0).desired, service.decisions[-1].reason) == (0, Reason.ASLEEP)


def test_arrivals_decide_when_the_metric_is_rps() -> None:
    service = VirtualService(knative_policy(metric=Metric.RPS, target=10.0), concurrency=21.0)
    decision = service.run(10.0)
    assert (decision.desired, decision.winner) == (3, Signal.RPS_STABLE) or decision.winner is Signal.RPS_PANIC
    assert decision.desired == 3


def test_a_first_request_announced_wakes_at_once() -> None:
    service = VirtualService(knative_policy(initial_scale=0), wanted=0, ever_ready=False)
    service.run(120.0)
    decision = service.decider.step(
        observation(
            service.now + 0.1,
            samples=(Sample(int(service.now), 1.0, 1.0, 1.0),),
            held=Known(1.0),
            wanted=0,
            ready=0,
            ever_ready=False,
        )
    )
    assert (decision.desired, decision.reason) == (1, Reason.WAKE)
