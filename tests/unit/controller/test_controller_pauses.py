"""Many services that are decided on at the same moment: the event loop has its turn, and wakes go first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from activator.messages import StatsPush
from autoscaler.controller.loop import Controller
from autoscaler.controller.pauses import FewAtOnce, with_pauses
from autoscaler.controller.service.control import Evaluation, ServiceControl
from autoscaler.controller.service.tasks import EVALUATED_AT_ONCE
from tests.unit.controller.controller_builders import MemoryCluster, inference_service, running, stats, view

pytestmark = pytest.mark.looptime

NAMES = [f"team/model-{number:03}" for number in range(100)]


def decisions(controller: Controller) -> int:
    return sum(len(control.history.last(10)) for control in controller.services.values())


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many evaluations there were in one turn of the loop, or in two that followed each other."""
    counts: list[int] = []
    counting = False
    evaluate = ServiceControl.evaluate

    def end() -> None:
        nonlocal counting
        counting = False

    def counted(self: ServiceControl, now: float) -> Evaluation | None:
        nonlocal counting
        if not counting:
            counting = True
            counts.append(0)
            asyncio.get_running_loop().call_soon(end)
        counts[-1] += 1
        return evaluate(self, now)

    monkeypatch.setattr(ServiceControl, "evaluate", counted)
    return counts


def fleet() -> MemoryCluster:
    return MemoryCluster(*(view(service=name, isvc=inference_service(name)) for name in NAMES))


async def test_first_evaluations_of_all_services_leave_the_loop_its_turns(evaluated: list[int]) -> None:
    async with running(fleet()):
        await asyncio.sleep(2.49)
        assert evaluated == []
        await asyncio.sleep(0.02)
        assert sum(evaluated) == len(NAMES), "as soon as they may be"
        assert max(evaluated) <= 2 * EVALUATED_AT_ONCE


async def test_so_do_those_that_have_their_turn_together(evaluated: list[int]) -> None:
    async with running(fleet()):
        await asyncio.sleep(3)
        evaluated.clear()
        await asyncio.sleep(4)
        assert sum(evaluated) >= len(NAMES)
        assert max(evaluated) <= 2 * EVALUATED_AT_ONCE


async def test_a_service_that_somebody_waits_for_is_decided_on_before_all_others() -> None:
    async with running(fleet()) as controller:
        await asyncio.sleep(1)
        controller.activator_connected("main")
        told = {name: stats("activator/main", 5.0, waiting=int(name == NAMES[-1])) for name in NAMES}
        controller.activator_pushed("main", StatsPush(False, told))
        while not controller.services[NAMES[-1]].history.latest:
            await asyncio.sleep(0)
        assert decisions(controller) <= 2 * EVALUATED_AT_ONCE


async def test_as_many_as_may_go_at_once_need_not_wait() -> None:
    few = FewAtOnce(2)
    went: list[str] = []

    async def go(name: str, *, urgent: bool = False) -> None:
        await few.my_turn(urgent=urgent)
        went.append(name)

    tasks = [asyncio.create_task(go(name)) for name in "abcdef"]
    tasks.append(asyncio.create_task(go("wake", urgent=True)))
    await asyncio.sleep(0)
    assert went == ["a", "b"]
    tasks[2].cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert went == ["a", "b", "wake", "d", "e", "f"]
    await go("later")
    assert went[-1] == "later"
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_comes_in_the_same_turn_as_those_who_waited_waits_too() -> None:
    few = FewAtOnce(1)
    went = []

    async def go(name: str) -> None:
        await few.my_turn()
        went.append((name, turn))

    turn = 0
    tasks = []
    for turn in range(10):
        if turn < 3:
            tasks += [asyncio.create_task(go(f"{turn}{twin}")) for twin in "ab"]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert [name for name, _ in went] == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert len({at for _, at in went}) == len(went)


async def test_between_steps_the_loop_has_a_turn_after_each_few() -> None:
    turns, seen = 0, []

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def steps() -> Iterator[None]:
        for _ in range(7):
            seen.append(turns)
            yield

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    await with_pauses(steps(), 3)
    assert seen == [1, 1, 1, 2, 2, 2, 3]
    counting.cancel()
