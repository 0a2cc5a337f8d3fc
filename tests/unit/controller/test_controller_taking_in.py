"""Taking in many services: everything else has its turn meanwhile, and what is heard meanwhile is not lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any, get_type_hints

import pytest

from activator.messages import Routes, StatsPush
from autoscaler.controller.loop import Controller
from autoscaler.controller.service.policy_in_force import PolicyInForce
from autoscaler.controller.settings import Cadence
from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision
from autoscaler.policy import settings
from autoscaler.signals.observation import Observation
from tests.unit.controller.controller_builders import (
    START,
    MemoryCluster,
    inference_service,
    replica,
    running,
    stats,
    view,
)

pytestmark = pytest.mark.looptime

NAMES = [f"team/model-{number:03}" for number in range(100)]
_AT_ONCE = 10


def fleet() -> MemoryCluster:
    return MemoryCluster(*(view(service=name, isvc=inference_service(name)) for name in NAMES))


def push(*names: str, at: float, history: int = 0, waiting: int = 0, urgent: bool = False) -> StatsPush:
    told = {name: stats("activator/main", at, waiting=waiting, history=history) for name in names}
    return StatsPush(urgent, told)


async def test_the_event_loop_has_its_turn_after_a_few_services() -> None:
    async with running(fleet()) as controller:
        taken = [len(controller.services)]
        while taken[-1] < len(NAMES):
            await asyncio.sleep(0)
            taken.append(len(controller.services))
        assert max(after - before for before, after in pairwise(taken)) <= _AT_ONCE


async def test_so_it_has_when_many_services_go() -> None:
    cluster = fleet()
    async with running(cluster) as controller:
        await asyncio.sleep(1)
        cluster.views.clear()
        cluster.show()
        left = [len(NAMES)]
        while left[-1] > 0:
            await asyncio.sleep(0)
            left.append(len(controller.services))
        assert max(before - after for before, after in pairwise(left)) <= _AT_ONCE


async def test_services_that_did_not_change_cost_no_turn() -> None:
    """A wake among thousands is not to wait for a pause after each few of them."""
    cluster = fleet()
    async with running(cluster) as controller:
        await asyncio.sleep(1)
        cluster.show(view(replica("a"), service=NAMES[-1], isvc=inference_service(NAMES[-1])))
        for _ in range(4):
            await asyncio.sleep(0)
        assert len(controller.services[NAMES[-1]].view.replicas) == 1


async def test_the_first_table_is_published_once_and_has_every_service(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Routes] = []
    async with running(fleet()) as controller:
        monkeypatch.setattr(controller.connections, "publish", tables.append)
        assert not controller.seen_cluster
        await asyncio.sleep(1)
        assert [[route.service for route in table.routes] for table in tables] == [NAMES]
        assert controller.seen_cluster


async def test_what_is_told_of_a_service_before_it_is_taken_in_counts_with_its_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    observed: dict[str, Observation] = {}
    step = Decider.step

    def watched(self: Decider, observation: Observation) -> Decision:
        observed.setdefault(self.service, observation)
        return step(self, observation)

    monkeypatch.setattr(Decider, "step", watched)
    async with running(fleet()) as controller:
        await asyncio.sleep(0)
        assert NAMES[-1] not in controller.services
        controller.activator_connected("main")
        controller.activator_pushed("main", push(*NAMES, at=500.0, history=60, waiting=2))
        controller.activator_pushed("main", push(*NAMES, at=500.5, waiting=3))
        await asyncio.sleep(3)
        for name in (NAMES[0], NAMES[-1]):
            assert len(observed[name].samples) >= 59
            assert controller.services[name].activators_heard["main"].stats.waiting == 3


async def test_who_waits_for_a_service_that_is_not_taken_in_yet_is_decided_on_as_it_is() -> None:
    cluster = fleet()
    async with running(cluster) as controller:
        await asyncio.sleep(0)
        controller.activator_connected("main")
        controller.activator_pushed("main", push(NAMES[-1], at=500.0, history=60, waiting=2, urgent=True))
        controller.activator_pushed("main", push(NAMES[-1], at=500.1, waiting=2))
        for _ in range(50):
            await asyncio.sleep(0)
        assert [(at, service) for at, service, _, _ in cluster.orders] == [(0.0, NAMES[-1])]


async def test_an_activator_that_left_meanwhile_holds_nobody() -> None:
    async with running(fleet()) as controller:
        await asyncio.sleep(0)
        controller.activator_connected("main")
        controller.activator_pushed("main", push(*NAMES, at=500.0, waiting=2))
        controller.activator_disconnected("main", left=True)
        await asyncio.sleep(1)
        assert all(control.activators_heard == {} for control in controller.services.values())


async def test_ended_while_it_takes_services_in_it_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    controller = Controller(fleet(), None, lambda: START, Cadence(), "epoch")
    task = asyncio.create_task(controller.run())
    while not controller.services:
        await asyncio.sleep(0)
    assert len(controller.services) < len(NAMES)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert controller.services == {}
    assert asyncio.all_tasks() == before


def test_a_policy_is_read_once_and_what_its_fields_are_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = Counter[str](), Counter[object]()

    def gather(*given: Any) -> object:
        read["gathered"] += 1
        return gathered(*given)

    def hints(kind: type) -> object:
        asked[kind] += 1
        return get_type_hints(kind)

    gathered = settings.gather
    monkeypatch.setattr("autoscaler.policy.parse.gather", gather)
    monkeypatch.setattr("autoscaler.policy.canonical.get_type_hints", hints)
    for _ in range(3):
        assert PolicyInForce().following(inference_service(target="3"), 1).origins
    assert read["gathered"] == 3
    assert max(asked.values(), default=0) <= 1
