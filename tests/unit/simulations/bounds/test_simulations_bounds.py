"""Bounds: equal to what trying every plan finds, on cases small enough to try them all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from simulations.bounds.no_waiting import (
    CheapestPlan,
    Demand,
    clairvoyant,
    demand_of_requests,
    keep_alive,
)
from simulations.bounds.of_trace import Terms, demands, works
from simulations.bounds.service_seconds import ServiceSeconds
from simulations.bounds.waiting import BoundError, Work, frontier, waiting_bound, work_of_requests
from simulations.traces.notation import generate
from simulations.traces.trace import CHUNK_ROWS, Floats, concatenated

DEMANDS = st.lists(st.integers(0, 4), min_size=1, max_size=12)
LOADS = st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 8)), min_size=1, max_size=8)


def of_seconds(replicas: list[int]) -> Demand:
    """So many replicas are needed in each second."""
    steps = np.array([*replicas, 0], np.int64)
    changed = np.diff(steps, prepend=0) != 0
    return Demand(np.arange(len(steps), dtype=np.float64)[changed], steps[changed])


def best_of_all_plans(demand: list[int], start: float, there: int = 0) -> float:
    """min Σ n_t + L·Σ (n_t − n_{t−1})⁺ with n_t ≥ D_t, by dynamic programming over every n_t up to the peak; `there`
    stand ready beforehand."""
    cost = {there: 0.0}
    for needed in demand:
        cost = {
            n: n + min(before + start * max(0, n - m) for m, before in cost.items())
            for n in range(needed, max(demand) + 1)
        }
    return min(cost.values())


@given(DEMANDS, st.floats(0, 6))
def test_the_clairvoyant_plan_is_the_best_of_all_plans(demand: list[int], start: float) -> None:
    bound = clairvoyant(of_seconds(demand), start)
    assert bound.replica_seconds == pytest.approx(best_of_all_plans(demand, start))
    assert bound.needed == sum(demand)


@given(DEMANDS, st.floats(0, 6), st.integers(1, 12))
def test_told_piece_by_piece_it_is_the_same_plan(demand: list[int], start: float, length: int) -> None:
    whole, plan = of_seconds(demand), CheapestPlan(start)
    for begin in range(0, len(whole.at), length):
        plan.take(Demand(whole.at[begin : begin + length], whole.replicas[begin : begin + length]))
    told, wanted = plan.bound(), clairvoyant(whole, start)
    assert told.starts == wanted.starts
    assert told.replica_seconds == pytest.approx(wanted.replica_seconds)


@given(DEMANDS, st.floats(0, 6), st.integers(1, 12))
def test_replicas_that_are_there_are_kept_for_their_first_use_where_that_is_cheaper(
    demand: list[int], start: float, length: int
) -> None:
    # Cut off in the middle of the last second's demand, as a trace is that ends under load.
    whole, plan = of_seconds(demand), CheapestPlan(start, there_from=0.0)
    inside = whole.at < len(demand)
    whole = Demand(whole.at[inside], whole.replicas[inside])
    for begin in range(0, len(whole.at), length):
        plan.take(Demand(whole.at[begin : begin + length], whole.replicas[begin : begin + length]))
    found = plan.bound(until=float(len(demand)))
    assert found.replica_seconds == pytest.approx(best_of_all_plans(demand, start, there=max(demand)))


@given(DEMANDS, st.floats(0, 6), st.floats(0, 6))
def test_a_price_of_starts_counts_like_their_time_but_is_not_gpu_time(
    demand: list[int], start: float, price: float
) -> None:
    bound = clairvoyant(of_seconds(demand), start, price)
    assert bound.cost == pytest.approx(best_of_all_plans(demand, start + price))
    assert bound.replica_seconds == pytest.approx(bound.cost - price * bound.starts)


@given(DEMANDS, st.floats(0.1, 6))
def test_ski_rental_costs_at_most_twice_the_optimum(demand: list[int], start: float) -> None:
    found = of_seconds(demand)
    best = clairvoyant(found, start).replica_seconds
    kept, share = keep_alive(found, start, start)
    assert best <= kept.replica_seconds + 1e-9
    assert kept.replica_seconds <= 2 * best + 1e-9
    assert 0 <= share <= 1


@given(LOADS, st.integers(1, 3))
def test_demand_of_requests_is_what_is_in_service(load: list[tuple[float, float]], slots: int) -> None:
    arrival, seconds = (np.array(column) for column in zip(*load, strict=True))
    demand = demand_of_requests(arrival, seconds, slots)
    for at in np.linspace(0.003, 40, 97):
        running = int(np.sum((arrival <= at) & (at < arrival + seconds)))
        place = int(np.searchsorted(demand.at, at, side="right")) - 1
        assert (demand.replicas[place] if place >= 0 else 0) == math.ceil(running / slots)


def test_a_request_that_ends_as_another_comes_hands_over_its_replica() -> None:
    bound = clairvoyant(demand_of_requests(np.array([0.0, 5.0]), np.array([5.0, 5.0])), 30.0)
    assert (bound.starts, bound.needed, bound.idle) == (1, 10.0, 0.0)


def test_a_gap_is_bridged_up_to_the_price_of_a_start() -> None:
    def starts(gap: float) -> int:
        return clairvoyant(demand_of_requests(np.array([0.0, 10.0 + gap]), np.array([10.0, 10.0])), 30.0).starts

    assert starts(29.9) == 1
    assert starts(30.1) == 2


def test_a_trace_is_streamed_into_the_same_demand_and_work() -> None:
    trace = generate("gamma:rate=60,cv=3,span=30m,services=3,seconds=lognormal(2,10),name=s")
    rows = concatenated(list(trace.chunks()))
    assert len(rows) > CHUNK_ROWS
    found = demands(trace, ServiceSeconds(), [1, 4, 2])
    binned = works(trace, [Terms(), Terms(slots=4, gpus=2), Terms(wait_seconds=5.0)], ServiceSeconds(), 7.0)
    for service, slots in enumerate((1, 4, 2)):
        own = rows.service == service
        expected = demand_of_requests(rows.arrival[own], rows.seconds[own], slots)
        assert found[service].at.tolist() == expected.at.tolist()
        assert found[service].replicas.tolist() == expected.replicas.tolist()
        assert binned[service].busy.sum() == pytest.approx(rows.seconds[own].sum())
        assert binned[service].requests.sum() == pytest.approx(own.sum())
    assert [work.gpus for work in binned] == [1, 2, 1]


def test_no_demand_costs_nothing() -> None:
    assert clairvoyant(of_seconds([0] * 5), 30.0).replica_seconds == 0.0


# --- with waiting


def work(busy: list[float], requests: list[float] | None = None, **how: float) -> Work:
    return Work(
        name="s",
        busy=np.array(busy, np.float64),
        requests=np.array(requests if requests is not None else busy, np.float64),
        slots=int(how.get("slots", 1)),
        start_seconds=how.get("start", 2.0),
        wait_seconds=how.get("wait", 0.0),
        gpus=int(how.get("gpus", 1)),
    )


def by_delays(busy: list[float], start: float, delay: int, drop_price: float, slots: int) -> float:
    """The same optimum written another way: x[b, t] is work of bin b done in bin t, z[b] is dropped."""
    bins, late = len(busy) + delay, delay + 1
    x, n, u, z = 0, len(busy) * late, len(busy) * late + bins, len(busy) * late + 2 * bins
    size = z + len(busy)
    cost = np.zeros(size)
    cost[n : n + bins], cost[u : u + bins], cost[z:] = 1.0, start, drop_price
    equal, above, limit = np.zeros((len(busy), size)), [], []
    for b in range(len(busy)):
        equal[b, x + b * late : x + (b + 1) * late] = 1.0
        equal[b, z + b] = 1.0
    for t in range(bins):
        row = np.zeros(size)
        for b in range(max(0, t - delay), min(len(busy), t + 1)):
            row[x + b * late + (t - b)] = 1.0
        row[n + t] = -slots
        rise = np.zeros(size)
        rise[n + t], rise[u + t] = 1.0, -1.0
        if t:
            rise[n + t - 1] = -1.0
        above += [row, rise]
        limit += [0.0, 0.0]
    found = linprog(cost, A_ub=np.array(above), b_ub=limit, A_eq=equal, b_eq=busy, bounds=(0, None), method="highs")
    return float(found.fun)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=10).filter(lambda busy: sum(busy) > 0.01),
    st.floats(0, 6),
    st.integers(0, 3),
    st.one_of(st.floats(0.1, 10), st.just(1e6)),
    st.integers(1, 3),
)
def test_running_sums_find_the_same_optimum_as_delays_one_by_one(
    busy: list[float], start: float, delay: int, price: float, slots: int
) -> None:
    bound = waiting_bound([work(busy, start=start, wait=float(delay), slots=slots)], 1.0, drop_price=price)
    expected = by_delays(busy, start, delay, price, slots)
    assert bound.gpu_seconds + price * bound.dropped == pytest.approx(expected, rel=1e-5, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(DEMANDS.filter(any), st.floats(0, 6))
def test_without_waiting_it_is_the_clairvoyant_plan_of_whole_replicas(demand: list[int], start: float) -> None:
    bound = waiting_bound([work([float(n) for n in demand], start=start)], 1.0)
    assert bound.gpu_seconds == pytest.approx(best_of_all_plans(demand, start), abs=1e-6)
    assert bound.attainment == 1.0


@settings(max_examples=20, deadline=None)
@given(LOADS, st.floats(0, 10), st.floats(0, 20))
def test_it_is_below_the_plan_without_waiting_and_falls_with_the_wait(
    load: list[tuple[float, float]], start: float, wait: float
) -> None:
    arrival, seconds = (np.array(column) for column in zip(*load, strict=True))
    strict = clairvoyant(demand_of_requests(arrival, seconds), start).replica_seconds

    def bound(patience: float) -> float:
        own = work_of_requests("s", arrival, seconds, 1.0, 40.0, start_seconds=start, wait_seconds=patience)
        return waiting_bound([own], 1.0).gpu_seconds

    assert bound(0.0) <= strict + 1e-6
    assert bound(wait) <= bound(0.0) + 1e-6


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=4, max_size=24), st.floats(0, 6), st.integers(0, 3), st.integers(3, 8))
def test_windows_never_raise_the_bound(busy: list[float], start: float, delay: int, window: int) -> None:
    one = work(busy, start=start, wait=float(delay))
    whole = waiting_bound([one], 1.0, window_seconds=1e6).gpu_seconds
    assert waiting_bound([one], 1.0, window_seconds=float(window)).gpu_seconds <= whole + 1e-6


@given(LOADS, st.floats(0.3, 7))
def test_work_is_all_there_and_where_the_requests_are(load: list[tuple[float, float]], width: float) -> None:
    arrival, seconds = (np.array(column) for column in zip(*load, strict=True))
    own = work_of_requests("s", arrival, seconds, width, 40.0)
    edges = np.arange(len(own.busy) + 1) * width
    overlap: Floats = np.clip(
        np.minimum((arrival + seconds)[:, None], edges[1:]) - np.maximum(arrival[:, None], edges[:-1]), 0.0, None
    )
    assert own.busy.tolist() == pytest.approx(overlap.sum(axis=0).tolist(), abs=1e-6)
    assert own.requests.sum() == pytest.approx(len(load))


def test_two_services_share_what_there_is() -> None:
    left, right = work([4.0, 0.0, 0.0], wait=2.0, start=0.0), work([4.0, 0.0, 0.0], wait=2.0, start=0.0)
    assert waiting_bound([left, right], 1.0, gpus=4.0).gpu_seconds == pytest.approx(8.0)
    with pytest.raises(BoundError, match="more GPUs, or a price for dropped requests"):
        waiting_bound([left, right], 1.0, gpus=2.0)
    dropped = waiting_bound([left, right], 1.0, gpus=2.0, drop_price=100.0)
    assert dropped.dropped == pytest.approx(2.0)
    assert dropped.attainment == pytest.approx(0.75)


def test_what_starts_holds_its_gpu() -> None:
    first, second = work([1.0, 1.0, 1.0, 0.0, 0.0], start=2.0), work([0.0, 0.0, 0.0, 1.0, 1.0], start=2.0)
    assert waiting_bound([first, second], 1.0, gpus=2.0).attainment == 1.0
    with pytest.raises(BoundError):
        waiting_bound([first, second], 1.0, gpus=1.0)


def test_the_frontier_rises_with_attainment_and_is_convex() -> None:
    busy = [5.0, 0.0, 1.0, 1.0, 0.0, 9.0, 0.0, 2.0]
    points = frontier([work(busy, start=3.0)], 1.0, [0.5, 1.5, 2.5, 4.0, 10.0])
    attained = [point.attainment for point in points]
    assert attained == sorted(attained)
    assert attained[-1] == pytest.approx(1.0)
    slopes = np.diff([point.gpu_seconds for point in points]) / np.diff(attained)
    assert bool(np.all(np.diff(slopes) >= -1e-6))
