"""What becomes of single requests, to the exact second."""

from __future__ import annotations

import pytest

from activator.messages import HoldBounds
from simulations.plant.results import GpuUse, Outcome
from simulations.scenario import Clients, ContinuousBatching, DrawnSeconds, MeasuredSeconds, Objective, Shape
from tests.unit.simulations.plant.plant_worlds import Arrivals, Script, mean_latency, run


def ended(outcomes: dict[Outcome, int]) -> dict[Outcome, int]:
    return {outcome: count for outcome, count in outcomes.items() if count}


def test_a_request_to_a_sleeping_service_waits_for_the_start() -> None:
    results, _ = run(Arrivals([5.0], [2.0]), Script((6.0, 1)))
    assert results.latency_sum == pytest.approx(6.0 + 10.0 + 2.0 - 5.0)
    assert results.cold == 1
    assert results.latency_cold.total == 1
    assert results.latency_warm.total == 0


def test_an_urgent_policy_is_asked_in_the_moment_of_the_arrival() -> None:
    policy = Script((5.0, 1), urgent=True, period=50.0)
    results, _ = run(Arrivals([5.25], [2.0]), policy)
    assert results.latency_sum == pytest.approx(12.0)
    assert [observed.at for observed in policy.seen[:3]] == [0.0, 5.25, 50.0]
    assert policy.seen[1].urgent
    assert policy.seen[1].held == 1


def test_what_ends_in_the_last_moment_is_in_the_time_line_too() -> None:
    results, _ = run(Arrivals([10.0, 60.0], [50.0, 1.0], span=60.0), Script(), limit=2, initial=1)
    assert results.outcomes[Outcome.COMPLETED] == results.outcomes[Outcome.UNFINISHED] == 1
    assert int(results.timeline.arrived.sum()) == 2
    assert int(results.timeline.ended.sum()) == 1


def test_beyond_the_limit_requests_wait_and_go_in_order() -> None:
    results, _ = run(Arrivals([1.0, 1.1, 1.2], [3.0, 3.0, 3.0]), Script(), limit=1, initial=1)
    assert results.latency_sum == pytest.approx(3.0 + 5.9 + 8.8)
    assert results.cold == 0


def test_without_a_limit_the_whole_hold_goes_to_the_first_that_is_ready() -> None:
    results, _ = run(Arrivals([1.0] * 20, [4.0] * 20), Script((2.0, 2)), limit=0)
    assert results.latency_sum == pytest.approx(20 * (12.0 + 4.0 - 1.0))


def test_an_engine_with_slots_makes_the_rest_wait_inside() -> None:
    policy = Script()
    run(Arrivals([1.0] * 5, [9.0] * 5), policy, model=MeasuredSeconds(slots=2), initial=1)
    at_four = next(observed for observed in policy.seen if observed.at == 4.0)
    assert (at_four.in_flight, at_four.engine_running, at_four.engine_waiting, at_four.held) == (5, 2, 3, 0)


def test_two_clocks_in_the_hold() -> None:
    bounds = HoldBounds(requests=10, bytes=0, no_endpoint_seconds=4.0, full_seconds=7.0)
    asleep, _ = run(Arrivals([1.0], [1.0]), Script(), hold=bounds)
    assert ended(dict(asleep.outcomes)) == {Outcome.REFUSED_NO_ENDPOINT: 1}
    busy, _ = run(Arrivals([1.0, 2.0], [50.0, 1.0]), Script(), hold=bounds, limit=1, initial=1)
    assert ended(dict(busy.outcomes)) == {Outcome.COMPLETED: 1, Outcome.REFUSED_FULL: 1}


def test_readiness_gives_those_who_wait_a_new_budget() -> None:
    bounds = HoldBounds(requests=10, bytes=0, no_endpoint_seconds=12.0, full_seconds=3.0)
    # Ready at 11: the second waits there for a slot from 11 to 13.5, which is less than three seconds.
    results, _ = run(Arrivals([1.0, 1.5], [2.5, 1.0]), Script((1.0, 1)), hold=bounds, limit=1)
    assert ended(dict(results.outcomes)) == {Outcome.COMPLETED: 2}


def test_a_full_hold_refuses() -> None:
    bounds = HoldBounds(requests=3, bytes=0, no_endpoint_seconds=0.0, full_seconds=0.0)
    results, _ = run(Arrivals([1.0] * 5), Script(), hold=bounds)
    assert ended(dict(results.outcomes)) == {Outcome.REFUSED_NO_ENDPOINT: 2, Outcome.UNFINISHED: 3}


def test_a_client_gives_up_and_its_slot_is_free_at_once() -> None:
    results, _ = run(Arrivals([1.0, 2.5], [100.0, 1.0]), Script(), clients=Clients(timeout=5.0), limit=1, initial=1)
    assert ended(dict(results.outcomes)) == {Outcome.TIMED_OUT: 1, Outcome.COMPLETED: 1}
    assert results.latency_sum == pytest.approx(6.0 + 1.0 - 2.5)


@pytest.mark.parametrize(
    ("aborts", "outcomes", "latency"),
    [
        pytest.param(True, {Outcome.TIMED_OUT: 1, Outcome.COMPLETED: 2}, 4.5 + 1.5, id="aborted: the next begins"),
        # The second has waited too long at 7.5, is begun at 9 all the same, and the third at 10.
        pytest.param(
            False, {Outcome.TIMED_OUT: 2, Outcome.COMPLETED: 1}, 4.5, id="not: they wait for nobody's answers"
        ),
    ],
)
def test_an_engine_that_does_not_abort_finishes_what_its_clients_gave_up(
    *, aborts: bool, outcomes: dict[Outcome, int], latency: float
) -> None:
    trace = Arrivals([1.0, 2.5, 6.5], [8.0, 1.0, 1.0])
    model, clients = MeasuredSeconds(slots=1), Clients(timeout=5.0)
    results, _ = run(trace, Script(), model=model, clients=clients, abort_on_disconnect=aborts, initial=1)
    assert ended(dict(results.outcomes)) == outcomes
    assert results.latency_sum == pytest.approx(latency)


def test_what_a_queue_proxy_has_in_its_line_is_given_up_there() -> None:
    trace = Arrivals([1.0, 2.5], [8.0, 1.0])
    clients, script = Clients(timeout=5.0), Script(in_path=False)
    results, _ = run(trace, script, clients=clients, abort_on_disconnect=False, limit=1, initial=1)
    assert ended(dict(results.outcomes)) == {Outcome.TIMED_OUT: 2}
    assert results.gpu_seconds[GpuUse.SERVING] == pytest.approx(8.0)


def test_a_client_that_sends_again_has_an_engine_work_twice_that_does_not_abort() -> None:
    clients = Clients(timeout=5.0, retries=1, backoff=1.0)
    results, _ = run(Arrivals([1.0], [12.0]), Script(), clients=clients, abort_on_disconnect=False, initial=1)
    assert (results.attempts, ended(dict(results.outcomes))) == (2, {Outcome.TIMED_OUT: 1})
    assert 12.0 + 5.5 <= results.gpu_seconds[GpuUse.SERVING] <= 12.0 + 6.5


def test_a_replica_that_is_killed_takes_with_it_what_nobody_waits_for() -> None:
    clients, script = Clients(timeout=5.0), Script((10.0, 0))
    trace = Arrivals([1.0], [100.0])
    results, _ = run(trace, script, clients=clients, abort_on_disconnect=False, drain_seconds=4.0, initial=1)
    assert ended(dict(results.outcomes)) == {Outcome.TIMED_OUT: 1}
    assert results.gpu_seconds[GpuUse.DRAINING] == pytest.approx(4.0)


def test_clients_that_retry_make_a_storm() -> None:
    clients = Clients(timeout=5.0, retries=3, backoff=1.0)
    results, _ = run(Arrivals([1.0] * 10, [1.0] * 10), Script(), clients=clients)
    assert results.attempts == 40
    assert ended(dict(results.outcomes)) == {Outcome.TIMED_OUT: 10}


def test_latency_counts_from_the_first_attempt() -> None:
    clients = Clients(timeout=5.0, retries=3, backoff=1.0)
    results, _ = run(Arrivals([0.5], [1.0]), Script((1.0, 1)), clients=clients)
    assert results.latency_sum == pytest.approx(11.0 + 1.0 - 0.5, abs=1e-9) or results.latency_sum > 11.5
    assert results.attempts >= 2
    assert results.cold == 1


def test_a_request_counts_as_good_within_the_objective() -> None:
    results, _ = run(Arrivals([1.0, 10.0], [1.0, 3.0]), Script(), objective=Objective(latency=2.0), initial=1)
    assert results.good == 1


LLM = ContinuousBatching(prefill=0.001, alpha=0.02, beta=0.01, slots=2)


def test_a_sequence_alone_takes_its_prompt_and_its_tokens() -> None:
    results, _ = run(Arrivals([1.0], tokens=[(500, 101)]), Script(), model=LLM, initial=1)
    assert results.latency_sum == pytest.approx(0.5 + 100 * 0.03)
    assert results.ttft_warm.quantile(0.5) == pytest.approx(0.5, rel=0.05)
    assert (results.input_tokens, results.output_tokens) == (500, 101)


def test_two_sequences_slow_each_other_and_a_prompt_stops_both() -> None:
    # The first decodes alone up to 2.0, stands still while the second prompt is read (to 2.5), then both decode.
    results, _ = run(Arrivals([1.0, 2.0], tokens=[(0, 101), (500, 11)]), Script(), model=LLM, initial=1)
    tokens_before = 1.0 / 0.03
    second = 0.5 + 10 * 0.04
    first = 1.0 + second + (100 - tokens_before - 10) * 0.03
    assert results.latency_sum == pytest.approx(first + second)


def test_a_full_batch_makes_sequences_wait_in_the_engine() -> None:
    results, _ = run(Arrivals([1.0, 1.0, 1.0], tokens=[(0, 11)] * 3), Script(), model=LLM, initial=1)
    assert results.latency_sum == pytest.approx(2 * 10 * 0.04 + (10 * 0.04 + 10 * 0.03))


def test_a_full_cache_makes_sequences_wait_in_the_engine() -> None:
    model = ContinuousBatching(prefill=0.0, alpha=0.02, beta=0.01, slots=100, kv_tokens=100)
    results, _ = run(Arrivals([1.0, 1.0], tokens=[(60, 20)] * 2), Script(), model=model, initial=1)
    assert mean_latency(results) == pytest.approx((19 * 0.03 + 2 * 19 * 0.03) / 2)


def test_who_joined_a_cache_last_that_fills_up_is_put_back_and_reads_anew() -> None:
    # Both fit at first; after ten turns of 40 ms their 40 + 10 tokens each fill it. The first goes on alone for nine
    # turns; then the second reads 40 + 11 tokens, which makes its twelfth, and makes the other eight.
    model = ContinuousBatching(prefill=0.001, alpha=0.02, beta=0.01, slots=100, kv_tokens=100)
    results, _ = run(Arrivals([1.0, 1.0], tokens=[(40, 20)] * 2), Script(), model=model, initial=1)
    first = 0.08 + 10 * 0.04 + 9 * 0.03
    assert results.latency_sum == pytest.approx(first + first + 0.051 + 8 * 0.03)
    assert results.ttft_warm.quantile(1.0) < 0.1
    assert results.output_tokens == 40


def test_out_of_the_path_requests_wait_in_queue_proxies() -> None:
    policy = Script(in_path=False)
    run(Arrivals([1.5] * 40, [20.0] * 40), policy, limit=1, initial=2)
    at_four = next(observed for observed in policy.seen if observed.at == 4.0)
    assert (at_four.held, at_four.in_flight, at_four.queued) == (0, 40, 38)


def test_a_queue_proxy_with_a_bound_refuses() -> None:
    policy = Script(in_path=False)
    results, _ = run(Arrivals([1.5] * 10, [20.0] * 10), policy, limit=1, initial=1, queue_requests=4)
    assert ended(dict(results.outcomes)) == {Outcome.COMPLETED: 5, Outcome.REFUSED_FULL: 5}


def test_who_waits_in_a_queue_proxy_for_too_long_is_refused() -> None:
    policy = Script(in_path=False)
    results, _ = run(Arrivals([1.5] * 4, [20.0] * 4), policy, limit=1, initial=1, queue_seconds=25.0)
    # The second begins at 21.5; the others are refused at 26.5, when the line has been empty since.
    assert ended(dict(results.outcomes)) == {Outcome.COMPLETED: 2, Outcome.REFUSED_FULL: 2}
    at = {seen.at: (seen.in_flight, seen.queued) for seen in policy.seen}
    assert (at[26.0], at[28.0]) == ((3, 2), (1, 0))


def test_a_constant_time_is_that_of_every_request_of_a_chunk() -> None:
    constant = DrawnSeconds(0.25, Shape.CONSTANT)
    results, _ = run(Arrivals([1.0, 2.0, 3.0]), Script((0.0, 1)), model=constant, initial=1)
    assert results.latency_sum == pytest.approx(0.75)
