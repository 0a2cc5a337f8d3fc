"""Endpoints: who may be given a request, and who is next."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from activator.endpoint_load import EndpointLoad, Standing
from activator.endpoints import LONGEST_BACKOFF_SECONDS, Endpoints
from activator.messages import Endpoint, EndpointState


def endpoint(number: int, state: EndpointState = EndpointState.READY) -> Endpoint:
    return Endpoint(f"chat-{number}", "127.0.0.1", 9000 + number, 9500 + number, state)


def ready(count: int, capacity: int) -> Endpoints:
    endpoints = Endpoints()
    endpoints.update([endpoint(n) for n in range(count)], capacity)
    return endpoints


def only(endpoints: Endpoints) -> EndpointLoad:
    (load,) = endpoints.all()
    return load


def test_requests_go_to_the_endpoint_with_most_room() -> None:
    endpoints = ready(3, capacity=4)
    first, second, third = (endpoints.take() for _ in range(3))
    assert {first, second, third} == set(endpoints.all())
    assert second is not None
    endpoints.release(second, reached=True)
    assert endpoints.take() is second


def test_equal_endpoints_are_dealt_out_in_turn() -> None:
    endpoints = ready(3, capacity=0)
    taken = Counter(load.endpoint.name for load in (endpoints.take() for _ in range(300)) if load)
    assert set(taken.values()) == {100}


def test_a_full_set_gives_nothing_and_a_freed_place_is_given_again() -> None:
    endpoints = ready(2, capacity=2)
    taken = [endpoints.take() for _ in range(4)]
    assert all(taken)
    assert endpoints.take() is None
    assert taken[0] is not None
    endpoints.release(taken[0], reached=True)
    assert endpoints.take() is taken[0]


@pytest.mark.parametrize("state", [EndpointState.STARTING, EndpointState.DRAINING])
def test_starting_and_draining_endpoints_get_nothing(state: EndpointState) -> None:
    endpoints = Endpoints()
    endpoints.update([endpoint(0, state)], 1)
    assert endpoints.take() is None
    assert not endpoints.any_ready


def test_its_own_answer_makes_an_endpoint_ready_before_the_table_does() -> None:
    endpoints = Endpoints()
    endpoints.update([endpoint(0, EndpointState.STARTING)], 1)
    endpoints.proven(only(endpoints), 0.0)
    assert endpoints.any_ready
    endpoints.update([endpoint(0, EndpointState.STARTING)], 1)
    assert endpoints.take() is not None


def test_an_endpoint_that_the_table_takes_back_to_starting_must_answer_again() -> None:
    endpoints = Endpoints()
    endpoints.update([endpoint(0, EndpointState.STARTING)], 1)
    endpoints.proven(only(endpoints), 0.0)
    endpoints.update([endpoint(0, EndpointState.READY)], 1)
    endpoints.update([endpoint(0, EndpointState.STARTING)], 1)
    assert endpoints.take() is None
    assert endpoints.unproven() == [only(endpoints)]


def test_an_answer_of_a_draining_endpoint_changes_nothing() -> None:
    endpoints = Endpoints()
    endpoints.update([endpoint(0, EndpointState.DRAINING)], 1)
    endpoints.proven(only(endpoints), 0.0)
    assert endpoints.take() is None


def test_what_is_in_flight_stays_counted_while_an_endpoint_leaves_and_comes_back() -> None:
    endpoints = ready(1, capacity=1)
    load = endpoints.take()
    assert load is not None
    assert endpoints.update([], 1).removed == (load,)
    endpoints.update([endpoint(0)], 1)
    assert endpoints.take() is None
    endpoints.release(load, reached=True)
    assert endpoints.take() is load


def test_an_unreachable_endpoint_gets_nothing_until_its_back_off_is_over_and_then_one_request() -> None:
    endpoints = ready(1, capacity=8)
    load = endpoints.take()
    assert load is not None
    endpoints.release(load, reached=False)
    endpoints.unreachable(load, 10.0)
    assert not endpoints.any_ready
    retry_at = endpoints.next_retry()
    assert retry_at is not None
    assert retry_at > 10.0
    endpoints.retry(retry_at - 0.001)
    assert endpoints.take() is None
    endpoints.retry(retry_at)
    assert endpoints.take() is load
    assert endpoints.take() is None
    assert not endpoints.any_ready
    endpoints.release(load, reached=True)
    assert endpoints.any_ready


def test_back_offs_grow_to_a_bound_and_many_failures_at_once_count_as_one() -> None:
    endpoints = ready(1, capacity=0)
    load, now, gaps = only(endpoints), 0.0, []
    for _ in range(12):
        endpoints.unreachable(load, now)
        endpoints.unreachable(load, now)
        retry_at = endpoints.next_retry()
        assert retry_at is not None
        gaps.append(retry_at - now)
        now = retry_at
        endpoints.retry(now)
        assert endpoints.take() is load
        endpoints.release(load, reached=False)
    assert gaps[:3] == pytest.approx([0.05, 0.1, 0.2])
    assert gaps[-1] == LONGEST_BACKOFF_SECONDS


def test_a_trial_whose_client_leaves_is_still_to_be_made() -> None:
    endpoints = ready(1, capacity=1)
    load = only(endpoints)
    endpoints.unreachable(load, 0.0)
    endpoints.retry(1.0)
    assert endpoints.take() is load
    endpoints.release(load, reached=False)
    assert endpoints.take() is load


def test_an_endpoint_that_says_ready_and_refuses_connections_is_not_tried_in_a_tight_loop() -> None:
    endpoints = ready(1, capacity=1)
    load = only(endpoints)
    endpoints.unreachable(load, 0.0)
    endpoints.proven(load, 0.001)
    assert endpoints.take() is None
    endpoints.retry(0.05)
    assert load.standing is Standing.READY


def test_an_unreachable_endpoint_that_the_table_calls_starting_waits_for_its_own_word() -> None:
    endpoints = Endpoints()
    endpoints.update([endpoint(0, EndpointState.STARTING)], 1)
    load = only(endpoints)
    endpoints.proven(load, 0.0)
    endpoints.unreachable(load, 0.0)
    endpoints.retry(1.0)
    assert endpoints.take() is None
    endpoints.proven(load, 2.0)
    assert endpoints.take() is load


class EndpointsModel(RuleBasedStateMachine):
    """Against a model that looks at every endpoint each time."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoints = Endpoints()
        self.capacity = 0
        self.now = 0.0
        self.taken: list[EndpointLoad] = []

    @rule(
        states=st.dictionaries(st.integers(0, 6), st.sampled_from(EndpointState), max_size=6),
        capacity=st.integers(0, 3),
    )
    def table(self, states: dict[int, EndpointState], capacity: int) -> None:
        self.capacity = capacity
        self.endpoints.update([endpoint(n, state) for n, state in states.items()], capacity)

    @rule()
    def take(self) -> None:
        before = {load: load.in_flight for load in self.endpoints.all()}
        able = [n for load, n in before.items() if load.standing is Standing.READY]
        trials = [load for load in before if load.standing is Standing.TRIAL]
        load = self.endpoints.take()
        has_room = bool(able) and (self.capacity == 0 or min(able) < self.capacity)
        if has_room:
            assert load is not None
            assert load.standing is Standing.READY
            assert before[load] == min(able)
        elif load is not None:
            assert load in trials
        if load is not None:
            self.taken.append(load)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), reached=st.booleans())
    def release(self, data: st.DataObject, reached: bool) -> None:
        load = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.endpoints.release(load, reached=reached)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def bounce(self, data: st.DataObject) -> None:
        load = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.endpoints.release(load, reached=False)
        self.endpoints.unreachable(load, self.now)

    @rule(data=st.data())
    def proven(self, data: st.DataObject) -> None:
        if loads := list(self.endpoints.all()):
            self.endpoints.proven(data.draw(st.sampled_from(loads)), self.now)

    @rule(seconds=st.sampled_from([0.01, 0.1, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.endpoints.retry(self.now)

    @invariant()
    def counts_are_true(self) -> None:
        taken = Counter(self.taken)
        standings = Counter(load.standing for load in self.endpoints.all())
        assert all(load.in_flight == taken[load] for load in self.endpoints.all())
        assert self.endpoints.any_ready == (standings[Standing.READY] > 0)
        assert (self.endpoints.next_retry() is None) == (standings[Standing.UNREACHABLE] == 0)


EndpointsModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEndpointsModel = EndpointsModel.TestCase
