"""What full replicas complete is measured, and no replica is taken away without which the rest would fall behind."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.decide import decide
from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, LimitName
from autoscaler.decide.records import DecisionRecord, PolicyRecord, parse_record, record_line
from autoscaler.decide.state import Readings, Throughput, initial_state
from autoscaler.decide.throughput import track_throughput
from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known, Reading, Stale
from tests.unit.decide.decide_scenarios import START, VirtualService, knative_policy, limit_names, observation
from tests.unit.decide.test_decide_laws import observations, policies

# Of ten at a time a replica is given seven; with eight and a half it counts as full.
OURS = ScalingPolicy(target=10.0, container_concurrency=10, max_replicas=8)
BUSY = Known(20.0)
LAW = settings(max_examples=40, deadline=None)


def slowed_down(policy: ScalingPolicy = OURS) -> VirtualService:
    """Eight replicas that were full for three minutes and completed two requests a second each, 16 together; then
    requests take much less time, because there are replicas enough, and as many arrive."""
    service = VirtualService(policy, wanted=8, concurrency=72.0, arrivals=16.0, completes=2.0)
    service.run(180.0)
    service.concurrency = 28.0
    return service


def test_replicas_stay_that_complete_what_arrives_although_few_requests_are_there() -> None:
    service = slowed_down()
    decision = service.run(400.0)
    assert service.ready == 8
    assert limit_names(decision) == (LimitName.THROUGHPUT,)
    assert "28 requests at a time" in decision.explanation
    assert decision.explanation.endswith(
        "8 stay, for 16 arrive per second and a full replica was measured to complete 2."
    )


@pytest.mark.parametrize(
    "policy",
    [
        replace(OURS, improvements=replace(OURS.improvements, throughput_floor=False)),
        knative_policy(target=10.0, container_concurrency=10, max_replicas=8),
    ],
)
def test_fewer_stay_where_it_is_switched_off(policy: ScalingPolicy) -> None:
    assert slowed_down(policy).run(400.0).desired == 4


def test_fewer_stay_where_the_maximum_says_so() -> None:
    service = slowed_down()
    service.decider.change_policy(replace(OURS, max_replicas=5))
    assert service.run(400.0).desired == 5


def test_what_was_measured_is_forgotten_after_twenty_minutes_without_a_full_replica() -> None:
    service = slowed_down()
    service.run(1000.0)
    assert service.ready == 8
    service.run(400.0)
    assert service.ready == 4


def test_a_service_that_nobody_uses_goes_to_zero_as_soon_as_without_it() -> None:
    taken = []
    for on in (True, False):
        service = slowed_down(replace(OURS, improvements=replace(OURS.improvements, throughput_floor=on)))
        service.run(200.0)
        service.concurrency = service.arrivals = 0.0
        taken.append(service.run_until(0))
    assert taken[0] == taken[1]


def test_replicas_go_with_the_arrivals() -> None:
    service = slowed_down()
    service.run(300.0)
    service.concurrency, service.arrivals = 14.0, 6.0
    service.run(300.0)
    assert service.ready == 3


def test_a_target_of_requests_per_second_is_a_throughput_itself() -> None:
    service = VirtualService(replace(OURS, metric=Metric.RPS), wanted=2, concurrency=99.0, arrivals=14.0, completes=1.0)
    service.run(180.0)
    service.arrivals = 1.0
    assert service.run(400.0).desired == 1


def measured(seen: list[Observation], policy: ScalingPolicy = OURS) -> list[float]:
    """What one replica was measured to complete in a second, span by span."""
    throughput = Throughput()
    for each in seen:
        throughput = track_throughput(policy, throughput, each, each.at)
    return [rate for _, rate in throughput.measured]


def full(second: float, completed: float | None, in_flight: Reading = BUSY, ready: int = 2) -> Observation:
    return observation(START + second, in_flight=in_flight, completed=completed, ready=ready, wanted=ready)


def test_a_span_ends_after_fifteen_seconds_with_ten_completions() -> None:
    assert measured([full(0, 0), full(14, 28)]) == []
    assert measured([full(0, 0), full(15, 9)]) == []
    assert measured([full(0, 0), full(15, 9), full(20, 10)]) == [0.25]
    assert measured([full(0, 5), full(15, 35), full(30, 95)]) == [1.0, 2.0]


@pytest.mark.parametrize(
    "between",
    [
        full(10, 20, Known(16.0)),
        full(10, 20, Stale(20.0, 9.0)),
        full(10, 20, Known(30.0), ready=3),
        full(10, None),
        full(10, -1),
        replace(full(10, 20), replicas=replace(full(10, 20).replicas, draining=1)),
    ],
    ids=["not full", "not known", "one more", "nobody counts", "counted anew", "one goes"],
)
def test_a_span_is_given_up_when(between: Observation) -> None:
    assert measured([full(0, 0), between, full(16, 32), full(24, 48)]) == []


def test_what_has_just_come_cannot_be_completed_yet() -> None:
    assert measured([full(0, 0, Known(17.0)), full(20, 30, Known(27.0))]) == [1.0]
    assert measured([full(0, 0, Known(27.0)), full(20, 30, Known(17.0))]) == [0.75]


@pytest.mark.parametrize(("completed", "kept"), [(74, [1.0]), (76, [])])
def test_what_replicas_that_are_not_full_complete_can_disprove_what_full_ones_did(
    completed: float, kept: list[float]
) -> None:
    idle = Known(3.0)
    assert measured([full(0, 0), full(15, 30), full(20, 40, idle), full(35, 40 + completed, idle)]) == kept


def test_an_engine_that_hangs_measures_nothing() -> None:
    assert measured([full(2.0 * step, 0.0) for step in range(1000)]) == []


def test_fifteen_spans_are_remembered() -> None:
    seen = [full(15.0 * step, 30.0 * step) for step in range(100)]
    assert len(measured(seen)) == 15


def test_another_target_begins_anew() -> None:
    decider = Decider("default/chat", OURS)
    seen = [full(2.0 * step, 4.0 * step) for step in range(20)]
    for each in seen:
        decider.step(each)
    assert decider._state is not None
    assert decider._state.throughput.measured
    decider.change_policy(replace(OURS, stable_window_seconds=30.0))
    assert decider._state.throughput.measured
    decider.change_policy(replace(OURS, target_utilization=0.5))
    assert not decider._state.throughput.measured


# Laws


@LAW
@given(
    policies(),
    st.floats(0.0, 1e3),
    st.lists(st.floats(0.01, 1e3), min_size=1, max_size=15),
    st.floats(0.0, 1e3),
    st.integers(1, 40),
)
def test_never_below_what_completes_arrivals_unless_nothing_is_wanted_or_the_maximum_says_so(
    policy: ScalingPolicy, arriving: float, rates: list[float], load: float, wanted: int
) -> None:
    policy = replace(
        policy, metric=Metric.CONCURRENCY, improvements=replace(policy.improvements, throughput_floor=True)
    )
    seen = observation(float(START), wanted=wanted, ready=wanted)
    state = initial_state(policy, seen)
    without = Readings(seen, Known(load), Known(load), Known(0.0), None, state.backlog)
    known = Throughput(measured=tuple((START - 1.0, rate) for rate in rates))

    def desired(throughput: Throughput, rate: float) -> int:
        readings = replace(without, throughput=throughput, arriving=rate)
        return decide(policy, readings, state, seen.at, "default/chat")[0].desired

    unheld, held = desired(Throughput(), arriving), desired(known, arriving)
    most = policy.max_replicas or math.inf
    assert unheld <= held <= max(unheld, wanted)
    assert (held == 0) == (unheld == 0)
    if unheld:
        middle = sorted(rates)[len(rates) // 2]
        assert held >= min(wanted, most, math.ceil(arriving / middle - 0.5))
    faster = Throughput(measured=tuple((at, 2.0 * rate) for at, rate in known.measured))
    assert desired(faster, arriving) <= held <= desired(known, 2.0 * arriving)


def lines(policy: ScalingPolicy, seen: list[Observation]) -> list[str]:
    decider = Decider("default/chat", policy)
    return [record_line(DecisionRecord(decider.step(each))) for each in seen]


@LAW
@given(policies(), observations())
def test_without_completions_or_switched_off_every_byte_is_as_before(
    policy: ScalingPolicy, seen: list[Observation]
) -> None:
    on = replace(policy, improvements=replace(policy.improvements, throughput_floor=True))
    off = replace(policy, improvements=replace(policy.improvements, throughput_floor=False))
    uncounted = [replace(each, completed=None) for each in seen]
    as_before = lines(off, uncounted)
    assert lines(off, seen) == as_before
    assert lines(on, uncounted) == as_before


def test_a_policy_that_was_recorded_before_there_was_a_floor_resizes_its_windows_as_it_did() -> None:
    body = policy_to_json(knative_policy(target=10.0))
    improvements = body["improvements"]
    assert isinstance(improvements, dict)
    del improvements["throughput_floor"]
    recorded = policy_from_json(body)
    assert parse_record(record_line(PolicyRecord("default/chat", recorded))) == PolicyRecord("default/chat", recorded)

    def last(policy: ScalingPolicy) -> Decision:
        service = VirtualService(policy, concurrency=50.0)
        service.run(4.0)
        service.decider.change_policy(replace(policy, stable_window_seconds=120.0))
        return service.step()

    assert last(recorded) == last(knative_policy(target=10.0))
