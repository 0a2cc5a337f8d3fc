"""Slots that several activators share: never more than there are, none idle while anybody waits, none lost for ever."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from activator.lines import Band
from queue_proxy.limiter import Limiter, QueueBounds
from queue_proxy.sharing import LEASE_SECONDS, LONGEST_SHUN_SECONDS, Grant, Sharing
from queue_proxy.tickets import Ticket
from tests.unit.activator.sharing_model import ModelActivator, Request, Running, SharingModel


class SharingLaws(RuleBasedStateMachine):
    """Any order of requests, deliveries, ends, departures, deaths and stuck activators."""

    world: SharingModel

    @initialize(activators=st.integers(1, 3), proxies=st.integers(1, 3), limit=st.integers(1, 2))
    def begin(self, activators: int, proxies: int, limit: int) -> None:
        self.world = SharingModel(activators, proxies, limit)

    def _pick(self, data: st.DataObject) -> ModelActivator | None:
        return data.draw(st.sampled_from(self.world.living)) if self.world.living else None

    @rule(data=st.data(), band=st.sampled_from(Band))
    def a_request_comes(self, data: st.DataObject, band: Band) -> None:
        if activator := self._pick(data):
            activator.request(self.world.new(band, activator))

    @rule(data=st.data())
    def a_request_comes_directly(self, data: st.DataObject) -> None:
        proxy = data.draw(st.sampled_from(self.world.proxies))
        proxy.arrive(self.world.new(Band.NORMAL, None), data.draw(st.sampled_from([None, b"abc"])))

    @rule(data=st.data())
    def something_is_delivered(self, data: st.DataObject) -> None:
        activator = self._pick(data)
        if activator is None:
            return
        wire = data.draw(st.sampled_from(list(activator.wires.values())))
        if wire.up:
            self.world.deliver_up(wire)
        elif wire.down:
            self.world.deliver_down(wire)
        elif activator.under_way:
            self.world.deliver_request(activator, data.draw(st.integers(0, len(activator.under_way) - 1)))
        else:
            activator.timers.run()

    @rule(data=st.data())
    def a_request_ends(self, data: st.DataObject) -> None:
        running = [(proxy, ticket) for proxy in self.world.proxies for ticket in proxy.running]
        if running:
            proxy, ticket = data.draw(st.sampled_from(running))
            proxy.finish(ticket)

    @rule(data=st.data())
    def a_client_leaves(self, data: st.DataObject) -> None:
        held = [r for r in self.world.waiting() if r.activator is not None and r.load is None]
        if held:
            request = data.draw(st.sampled_from(held))
            assert request.activator is not None
            request.done = True
            request.activator.leave(request)

    @rule(data=st.data())
    def a_request_is_lost_on_its_way(self, data: st.DataObject) -> None:
        activator = self._pick(data)
        if activator is not None and activator.under_way:
            activator.lose(data.draw(st.integers(0, len(activator.under_way) - 1)))

    @rule(data=st.data())
    def an_activator_dies(self, data: st.DataObject) -> None:
        if len(self.world.living) > 1 and (activator := self._pick(data)):
            activator.die()

    @rule(data=st.data())
    def an_activator_is_stuck(self, data: st.DataObject) -> None:
        if len(self.world.living) > 1 and (activator := self._pick(data)):
            activator.stuck = True

    @precondition(lambda self: len(self.world.activators) < 5)
    @rule()
    def an_activator_joins(self) -> None:
        self.world.join()

    @rule(seconds=st.sampled_from([0.001, 0.1, LEASE_SECONDS, LONGEST_SHUN_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def everything_is_delivered(self) -> None:
        """Then nobody is held while a slot is free, however many activators there are. Time has to pass only where one
        is stuck, or was so slow that it is shunned: a lease for what it has, and until it is trusted again. (A request
        that was sent before its activator knew that there are others stays in the line that it is in.)"""
        world = self.world
        world.settle()
        stuck = any(activator.alive and activator.stuck for activator in world.activators)
        if stuck or any(world.is_shunned(activator) for activator in world.living):
            for seconds in (LEASE_SECONDS, LEASE_SECONDS, LONGEST_SHUN_SECONDS):
                world.pass_time(seconds)
                world.settle()
        if any(len(proxy.running) < proxy.limit for proxy in world.proxies):
            assert not [activator for activator in world.living if len(activator.hold)]
        assert not [p for p in world.proxies if len(p.running) < p.limit and p.limiter.waiting]

    @invariant()
    def never_more_than_the_limit(self) -> None:
        if not hasattr(self, "world"):
            return
        for proxy in self.world.proxies:
            assert len(proxy.running) + proxy.sharing.tokens == proxy.limiter.running
            assert proxy.limiter.running <= proxy.limit


SharingLaws.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestSharingLaws = SharingLaws.TestCase


@pytest.fixture
def world() -> SharingModel:
    return SharingModel(activators=3, proxies=4, limit=1)


def ask(world: SharingModel, activator: int, band: Band = Band.NORMAL) -> Request:
    request = world.new(band, world.activators[activator])
    world.activators[activator].request(request)
    world.settle()
    return request


def finish_one(world: SharingModel) -> Running:
    proxy = next(proxy for proxy in world.proxies if proxy.running)
    ticket = proxy.running[0]
    proxy.finish(ticket)
    world.settle()
    return ticket


def test_with_one_activator_nothing_is_said() -> None:
    world = SharingModel(activators=1, proxies=3, limit=2)
    world.settle()
    for _ in range(20):
        world.activators[0].request(world.new(Band.NORMAL, world.activators[0]))
    assert world.settle() == 0
    assert [len(proxy.running) for proxy in world.proxies] == [2, 2, 2]


def test_nobody_waits_while_a_replica_is_free_whoever_was_asked(world: SharingModel) -> None:
    world.settle()
    requests = [ask(world, activator) for activator in (0, 0, 1, 2)]
    assert sorted(r.served_by for r in requests if r.served_by is not None) == [0, 1, 2, 3]


def test_whoever_came_first_goes_first_whichever_activator_has_it(world: SharingModel) -> None:
    world.settle()
    for _ in range(4):
        ask(world, 0)
    waiting = [ask(world, activator) for activator in (2, 1, 1, 0, 2, 0, 1)]
    for request in waiting:
        assert request.served_by is None
        finish_one(world)
        assert request.served_by is not None


def test_a_higher_priority_goes_first_whichever_activator_has_it(world: SharingModel) -> None:
    world.settle()
    for _ in range(4):
        ask(world, 0)
    low, normal, high = ask(world, 0, Band.LOW), ask(world, 1, Band.NORMAL), ask(world, 2, Band.HIGH)
    for request in (high, normal, low):
        finish_one(world)
        assert request.served_by is not None


def test_a_request_that_came_directly_has_its_turn_by_age(world: SharingModel) -> None:
    world.settle()
    for _ in range(4):
        ask(world, 0)
    before = ask(world, 1)
    direct = world.new(Band.NORMAL, None)
    world.proxies[0].arrive(direct, None)
    after = ask(world, 2)
    for request in (before, direct, after):
        assert request.served_by is None
        world.proxies[0].finish(world.proxies[0].running[0])
        world.settle()
        assert request.served_by == 0


def test_an_idle_slot_stays_with_who_used_it_and_is_called_back_for_who_waits(world: SharingModel) -> None:
    world.settle()
    ask(world, 0)
    finish_one(world)
    assert sum(proxy.sharing.tokens for proxy in world.proxies) == 4
    again = world.new(Band.NORMAL, world.activators[0])
    world.activators[0].request(again)
    # It needs to ask nobody.
    assert len(world.activators[0].under_way) == 1
    assert all(ask(world, 1).served_by is not None for _ in range(3))


def test_what_a_dead_activator_had_is_free_at_once(world: SharingModel) -> None:
    world.settle()
    ask(world, 0)
    finish_one(world)
    world.activators[0].die()
    assert all(proxy.limiter.has_room or proxy.sharing.tokens == 0 for proxy in world.proxies)
    assert all(ask(world, 1).served_by is not None for _ in range(4))


def test_a_stuck_activator_costs_one_lease_and_no_more(world: SharingModel) -> None:
    world.settle()
    ask(world, 0)
    finish_one(world)
    world.activators[0].stuck = True
    waiting = [ask(world, 1) for _ in range(4)]
    assert any(request.served_by is None for request in waiting)
    world.pass_time(LEASE_SECONDS)
    world.settle()
    assert all(request.served_by is not None for request in waiting)


def test_a_late_request_with_a_void_token_is_served_like_any_other(world: SharingModel) -> None:
    world.settle()
    late = world.new(Band.NORMAL, world.activators[0])
    ask(world, 0)
    finish_one(world)
    world.activators[0].request(late)
    world.activators[0].stuck = True
    for _ in range(4):
        ask(world, 1)
    world.pass_time(LEASE_SECONDS)
    world.settle()
    world.activators[0].stuck = False
    world.settle()
    assert late.served_by is None
    for _ in range(4):
        finish_one(world)
    assert late.served_by is not None


def test_a_grant_that_cannot_be_used_goes_to_another_and_does_not_come_back() -> None:
    world = SharingModel(activators=2, proxies=1, limit=1)
    world.settle()
    running, waiting, other = ask(world, 1), ask(world, 0), ask(world, 1)
    assert running.served_by == 0
    first = world.activators[0]
    (load,) = first.endpoints.all()
    first.endpoints.unreachable(load, world.clock.now)
    finish_one(world)
    assert (waiting.served_by, other.served_by) == (None, 0)
    first.endpoints.retry(world.clock.now + 60.0)
    first.endpoints.proven(load, world.clock.now + 60.0)
    first.bidding.changed()
    world.settle()
    finish_one(world)
    assert waiting.served_by == 0


def test_tokens_of_an_endpoint_that_is_no_longer_ready_go_back() -> None:
    world = SharingModel(activators=2, proxies=1, limit=2)
    world.settle()
    ask(world, 0)
    finish_one(world)
    assert world.proxies[0].sharing.tokens > 0
    first = world.activators[0]
    (load,) = first.endpoints.all()
    first.endpoints.unreachable(load, world.clock.now)
    first.bidding.return_unwanted()
    world.settle()
    assert world.proxies[0].sharing.tokens == 0


def test_a_bid_that_crosses_the_word_that_its_activator_is_alone_idles_no_slot() -> None:
    world = SharingModel(activators=2, proxies=1, limit=1)
    world.settle()
    world.activators[0].die()
    staying = world.activators[1]
    request = world.new(Band.NORMAL, staying)
    staying.request(request)
    world.join()
    world.settle()
    assert request.served_by == 0
    assert world.proxies[0].sharing.tokens == 0


def test_a_token_is_nobodys_but_its_owners_to_return() -> None:
    limiter: Limiter[Ticket] = Limiter(1, QueueBounds())
    sharing: Sharing[Ticket, str] = Sharing(limiter, lambda: b"abc")
    sharing.join("owner")
    sharing.join("stranger")
    assert sharing.bid("owner", 1, Band.NORMAL, 0.0, 0.0) == [Grant("owner", b"abc")]
    assert sharing.give_back("stranger", b"abc", 0.0) == []
    assert limiter.running == 1
