"""Our named differences from Knative: what each does, and that switching it off brings Knative's behaviour back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from autoscaler.decide.decision import LimitName, Phase, Reason, Signal
from autoscaler.policy.scaling_policy import Improvements, ScalingPolicy
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from tests.unit.decide.decide_scenarios import KNATIVE, START, VirtualService, limit_names, observation

OURS = ScalingPolicy(target=10.0)


def waking(policy: ScalingPolicy, held: float, *, service_seconds: float | None, load_seconds: float) -> VirtualService:
    """A sleeping service at which `held` requests arrive at once."""
    service = VirtualService(
        policy, wanted=0, start_seconds=load_seconds, service_seconds=service_seconds, ever_ready=False
    )
    service.run(100.0)
    service.waiting = service.concurrency = held
    return service


@pytest.mark.parametrize(
    ("settings", "service_seconds", "desired"),
    [
        pytest.param({"container_concurrency": 4}, 1.0, 9, id="1000 requests of 1 s, 4 at a time, in 30 s: 8.3"),
        pytest.param({"container_concurrency": 4}, 0.1, 1, id="short ones need fewer"),
        pytest.param({"container_concurrency": 4, "backlog_drain_seconds": 10.0}, 1.0, 25, id="sooner needs more"),
        pytest.param({"target": 50.0}, 3.0, 2, id="without a hard limit the target is what runs at a time"),
        pytest.param({"target": 50.0}, 60.0, 20, id="longer than the objective: all at once, and no more than that"),
        pytest.param({"target": 50.0}, None, 20, id="unknown service time: all at once too"),
    ],
)
def test_from_zero_what_is_held_is_drained_in_time(
    settings: dict[str, object], service_seconds: float | None, desired: int
) -> None:
    policy: ScalingPolicy = replace(OURS, **settings)  # type: ignore[arg-type]
    decision = waking(policy, 1000.0, service_seconds=service_seconds, load_seconds=60.0).step()
    assert (decision.desired, decision.winner, decision.reason) == (desired, Signal.BACKLOG, Reason.WAKE)


@pytest.mark.parametrize(
    ("settings", "wake_seconds", "desired"),
    [
        pytest.param({}, None, 2, id="unknown: 1000 requests of 50 ms, one at a time, in 30 s"),
        pytest.param({}, 90.0, 2, id="a long wake: in 30 s"),
        pytest.param({}, 2.0, 25, id="a short wake: as long as it took again"),
        pytest.param({}, 0.2, 50, id="a wake too short to see: in 1 s"),
        pytest.param({"backlog_drain_seconds": 30.0}, 2.0, 2, id="what the user says"),
    ],
)
def test_who_waited_for_a_short_wake_does_not_wait_much_longer(
    settings: dict[str, object], wake_seconds: float | None, desired: int
) -> None:
    policy: ScalingPolicy = replace(OURS, container_concurrency=1, target=1.0, **settings)  # type: ignore[arg-type]
    service = waking(policy, 1000.0, service_seconds=0.05, load_seconds=60.0)
    service.wake_seconds = wake_seconds
    assert service.step().desired == desired


def test_the_backlog_of_a_long_wake_is_not_taken_for_load_afterwards() -> None:
    policy = replace(OURS, container_concurrency=4)
    service = waking(policy, 1000.0, service_seconds=1.0, load_seconds=40.0)
    service.step()
    service.arrivals = 0.0
    assert service.run(60.0).desired == 9  # 1000 / (4 at a time · 30 s / 1 s) each
    service.waiting, service.concurrency, service.arrivals = 0.0, 30.0, 30.0
    service.run(60.0)
    # 30 at a time, 2.8 for each: load alone decides as soon as the backlog is gone.
    assert max(decision.desired for decision in service.decisions) == 11


def test_without_backlog_sizing_the_whole_queue_counts_as_concurrency() -> None:
    policy = replace(OURS, container_concurrency=4, improvements=KNATIVE)
    service = waking(policy, 1000.0, service_seconds=1.0, load_seconds=40.0)
    assert service.run(40.0).desired > 200


def test_replicas_on_their_way_are_capacity_so_demand_is_not_multiplied_each_tick() -> None:
    ours, knative = (
        VirtualService(
            ScalingPolicy(target=10.0, max_scale_up_rate=2.0, improvements=improvements),
            wanted=2,
            start_seconds=120.0,
            concurrency=36.0,
        )
        for improvements in (Improvements(), KNATIVE)
    )
    for service in (ours, knative):
        service.run(70.0)
        service.concurrency = 28.0
    assert not ours.run(6.0).panic
    assert knative.run(6.0).panic


def test_a_queue_for_want_of_starting_replicas_orders_no_more_than_arrivals_and_draining_need() -> None:
    def desired(improvements: Improvements) -> int:
        service = VirtualService(
            ScalingPolicy(target=10.0, container_concurrency=10, improvements=improvements),
            wanted=2,
            start_seconds=600.0,
            concurrency=20.0,
            service_seconds=1.0,
        )
        service.run(70.0)
        service.arrivals = 30.0  # 20 of them can be served: 10 more wait with every second
        for waiting in range(0, 300, 20):
            service.waiting, service.concurrency = float(waiting), 20.0 + waiting
            service.step()
        return service.decisions[-1].desired

    assert desired(Improvements()) <= 7
    assert desired(Improvements(starting_replicas_count=False)) >= 20


@pytest.mark.parametrize("wanted", [2, 5, 40])
def test_one_comes_before_none(wanted: int) -> None:
    service = VirtualService(replace(OURS, max_scale_down_rate=1000.0), wanted=wanted)
    service.run_until(0, within=300.0)
    desired = [decision.desired for decision in service.decisions]
    assert desired[-2] == 1
    assert all(later != 0 or earlier <= 1 for earlier, later in pairwise(desired))


@pytest.mark.parametrize(
    ("in_flight", "held"),
    [
        (Missing("replica-1: ready, but not heard of yet"), Known(0.0)),
        (Stale(0.0, 7.0), Known(0.0)),
        (Known(0.0), Missing("no activator has reported")),
        (Known(0.0), Stale(0.0, 30.0)),
    ],
)
@pytest.mark.parametrize("improvements", [Improvements(), KNATIVE])
def test_unknown_is_not_zero(in_flight: Reading, held: Reading, improvements: Improvements) -> None:
    service = VirtualService(replace(OURS, improvements=improvements), wanted=3)
    service.in_flight, service.held = in_flight, held
    decision = service.run(400.0)
    assert (decision.desired, decision.reason) == (3, Reason.UNKNOWN_LOAD)
    assert limit_names(decision)[-1] is LimitName.UNKNOWN_IS_NOT_ZERO


def test_a_reading_lost_on_the_way_to_sleep_does_not_start_the_way_anew() -> None:
    service = VirtualService(OURS, wanted=1, activator_confirmed=False)
    service.run(300.0)
    service.in_flight = Stale(0.0, 6.0)
    assert service.run(4.0).desired == 1
    service.in_flight, service.activator_confirmed = None, True
    assert service.step().desired == 0


def test_unknown_may_still_go_up_on_what_is_known() -> None:
    service = VirtualService(OURS, wanted=1, in_flight=Missing("replica-2: ready, but not heard of yet"))
    service.concurrency = 100.0
    assert service.run(10.0).desired == 15


def test_without_windows_what_is_known_to_be_in_flight_asks_for_its_share() -> None:
    service = VirtualService(OURS, wanted=1, measured=False, in_flight=Known(33.0))
    decision = service.step()
    assert (decision.desired, decision.winner) == (5, Signal.IN_FLIGHT)


def test_the_idle_clock_starts_at_the_end_of_loading() -> None:
    service = VirtualService(OURS, wanted=0, start_seconds=200.0, ever_ready=False)
    service.run(10.0)
    service.waiting = service.concurrency = 1.0
    assert service.step().phase is Phase.WAKING
    service.waiting = service.concurrency = 0.0  # whoever asked has left
    service.run(200.0)
    ready_for = service.run_until(0, within=300.0)
    assert service.decisions[-2].phase is Phase.SERVING
    assert ready_for == pytest.approx(60.0, abs=4.0)


def test_the_idle_clock_starts_at_the_end_of_the_last_request() -> None:
    service = VirtualService(OURS, wanted=1)
    service.in_flight, service.measured = Known(1.0), True
    service.run(500.0)  # a request that the windows do not see keeps it awake
    assert service.decisions[-1].desired == 1
    service.in_flight = Known(0.0)
    assert service.run_until(0, within=100.0) == pytest.approx(62.0, abs=4.0)


@pytest.mark.parametrize("improvements", [Improvements(), KNATIVE])
@pytest.mark.parametrize("where", ["in_flight", "held"])
def test_work_in_flight_keeps_a_service_that_was_about_to_sleep(improvements: Improvements, where: str) -> None:
    service = VirtualService(replace(OURS, improvements=improvements), wanted=1)
    service.activator_confirmed = False  # so that it stays inactive, a step before zero
    service.run(300.0)
    service.activator_confirmed = True
    setattr(service, where, Known(1.0))
    decision = service.step()
    assert decision.desired == 1
    assert LimitName.WORK_IN_FLIGHT in limit_names(decision)
    assert "1 request is in flight" in decision.explanation
    setattr(service, where, None)
    service.run_until(0, within=100.0)


def test_with_nothing_ready_the_activator_is_in_the_path_whatever_the_burst_capacity() -> None:
    service = VirtualService(
        replace(OURS, target_burst_capacity=0.0), wanted=0, start_seconds=100.0, waiting=1.0, concurrency=1.0
    )
    decision = service.run(10.0)
    assert (decision.phase, decision.excess_burst_capacity) == (Phase.WAKING, 0)
    assert decision.activator_in_path
    assert not service.run(120.0).activator_in_path


def test_a_service_goes_through_its_phases_in_order() -> None:
    service = VirtualService(OURS, wanted=0, start_seconds=20.0, ever_ready=False)
    service.run(10.0)
    service.waiting = service.concurrency = 1.0
    service.run(30.0)
    service.waiting = service.concurrency = 0.0
    service.run(200.0)
    phases = [decision.phase for decision in service.decisions]
    changes = [phase for i, phase in enumerate(phases) if i == 0 or phase is not phases[i - 1]]
    assert changes == [Phase.ASLEEP, Phase.WAKING, Phase.SERVING, Phase.DRAINING, Phase.ASLEEP]


def test_a_replica_that_less_load_does_not_need_stays_for_the_delay() -> None:
    service = VirtualService(OURS, wanted=5, concurrency=35.0)
    service.run(100.0)
    service.concurrency = 7.0
    assert service.run(OURS.stable_window_seconds + 60.0).desired == 5
    assert service.run(2 * OURS.scale_down_delay_seconds).desired == 1


def test_what_a_queue_took_does_not_stay_for_the_delay() -> None:
    service = VirtualService(replace(OURS, container_concurrency=10), wanted=2, concurrency=14.0, service_seconds=2.0)
    service.arrivals = 7.0
    service.run(100.0)
    service.concurrency = 70.0  # 56 of them wait
    assert service.run(70.0).desired == 10
    service.concurrency = 14.0
    assert service.run(OURS.stable_window_seconds + 10.0).desired == 2


def test_requests_that_outlast_the_window_are_remembered_though_none_has_come_of_late() -> None:
    service = VirtualService(OURS, wanted=5, concurrency=35.0, service_seconds=300.0)
    service.run(100.0)
    service.arrivals = 0.0
    service.run(OURS.scale_down_delay_seconds + 60.0)
    service.concurrency = 7.0
    assert service.run(OURS.stable_window_seconds + 30.0).desired == 5
    assert service.run(2 * OURS.scale_down_delay_seconds).desired == 1


def test_zero_waits_for_its_own_timers_and_not_for_the_delay() -> None:
    service = VirtualService(OURS, wanted=5, concurrency=35.0)
    service.run(100.0)
    service.concurrency = service.arrivals = 0.0
    assert service.run(OURS.stable_window_seconds + OURS.scale_to_zero_grace_seconds + 20.0).desired == 0


def test_in_knatives_terms_zero_waits_for_the_delay_too() -> None:
    policy = replace(OURS, improvements=KNATIVE, scale_down_delay_seconds=300.0)
    service = VirtualService(policy, wanted=5, concurrency=35.0)
    service.run(100.0)
    service.concurrency = service.arrivals = 0.0
    assert service.run(250.0).desired == 5
    assert service.run(800.0).desired == 0


def test_a_loading_replica_does_not_take_the_activator_out_of_the_path() -> None:
    service = VirtualService(replace(OURS, target=100.0), wanted=1, start_seconds=60.0, concurrency=200.0)
    decision = service.run(10.0)
    assert decision.excess_burst_capacity >= -211
    assert decision.activator_in_path


def test_a_changed_policy_holds_from_the_next_step_and_the_windows_keep_what_they_hold() -> None:
    service = VirtualService(OURS, wanted=3, concurrency=21.0)
    service.run(100.0)
    service.decider.change_policy(replace(OURS, stable_window_seconds=120.0, target=30.0))
    decision = service.step()
    assert decision.candidates[0].reading == Known(21.0)
    assert decision.candidates[0].replicas == 1


def test_time_never_goes_backwards() -> None:
    service = VirtualService(OURS)
    service.run(10.0)
    decision = service.decider.step(observation(START - 500.0))
    assert decision.at == service.now


@pytest.mark.parametrize("where", ["held", "queued"])
def test_what_outlasts_the_drain_objective_keeps_what_it_asked_for_until_the_windows_hold_it(where: str) -> None:
    # 500 of 0.4 s at once, 4 at a time: two seconds take 25 replicas, of which the maximum allows 4; these take 12.5 s.
    policy = replace(
        OURS, container_concurrency=4, max_replicas=4, stable_window_seconds=6.0, backlog_drain_seconds=2.0
    )
    service = waking(policy, 500.0, service_seconds=0.4, load_seconds=6.0)
    assert service.step().desired == 4
    service.arrivals = 0.0
    service.run(6.0)
    for left in range(460, 40, -40):
        if where == "queued":
            service.queued, service.held = Known(float(left)), Known(0.0)
        service.waiting, service.concurrency = float(left), left + 16.0
        assert service.step(1.0).desired == 4, service.decisions[-1].explanation


def test_who_has_just_started_keeps_what_there_is_for_the_delay() -> None:
    service = VirtualService(OURS, wanted=5, concurrency=5.0)
    assert service.run(OURS.scale_down_delay_seconds - 2.0).desired == 5
    assert limit_names(service.decisions[-1])[-1] is LimitName.SCALE_DOWN_DELAY
    assert service.run(10.0).desired < 5
