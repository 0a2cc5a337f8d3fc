"""Orders are placed until they are taken, and always the newest."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from autoscaler.controller.service.actor import Actor, Order
from tests.unit.controller.controller_builders import CHAT, MemoryCluster

pytestmark = pytest.mark.looptime


class _Told:
    def __init__(self) -> None:
        self.placed: list[int] = []
        self.failed: list[tuple[float, int, str]] = []

    def place(self, order: Order) -> None:
        self.placed.append(order.replicas)

    def fail(self, order: Order, why: str) -> None:
        self.failed.append((asyncio.get_running_loop().time(), order.replicas, why))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_order_is_placed_at_once_and_once() -> None:
    cluster, told = MemoryCluster(), _Told()
    actor = Actor(cluster, told.place, told.fail)
    task = asyncio.create_task(actor.run())
    actor.order(Order(CHAT, 2, ("b", "a")))
    await asyncio.sleep(60)
    assert cluster.orders == [(0.0, CHAT, 2, ("b", "a"))]
    assert told.placed == [2]
    await _end(task)


async def test_a_refused_order_is_tried_again_with_growing_pauses() -> None:
    cluster, told = MemoryCluster(), _Told()
    cluster.refuse = "no GPU"
    actor = Actor(cluster, told.place, told.fail)
    task = asyncio.create_task(actor.run())
    actor.order(Order(CHAT, 2))
    await asyncio.sleep(20)
    times = [at for at, _, _ in told.failed]
    assert times[:7] == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5, 3.1, 5.1])
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) == pytest.approx(2.0)
    assert told.failed[0][2] == "no GPU"
    await _end(task)


async def test_a_new_number_does_not_wait_for_the_pause_of_the_old_one() -> None:
    cluster, told = MemoryCluster(), _Told()
    cluster.refuse = "not now"
    actor = Actor(cluster, told.place, told.fail)
    task = asyncio.create_task(actor.run())
    actor.order(Order(CHAT, 2))
    await asyncio.sleep(20)
    cluster.refuse = None
    actor.order(Order(CHAT, 5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [replicas for _, _, replicas, _ in cluster.orders] == [5]
    assert cluster.orders[0][0] == pytest.approx(20.0)
    await _end(task)


async def test_an_order_that_is_withdrawn_is_not_placed_later() -> None:
    cluster, told = MemoryCluster(), _Told()
    cluster.refuse = "not now"
    actor = Actor(cluster, told.place, told.fail)
    task = asyncio.create_task(actor.run())
    actor.order(Order(CHAT, 2))
    await asyncio.sleep(1)
    actor.withdraw()
    cluster.refuse = None
    await asyncio.sleep(60)
    assert cluster.orders == []
    await _end(task)


async def test_an_order_that_stands_behind_many_others_in_the_cluster_has_not_failed() -> None:
    class Busy(MemoryCluster):
        async def scale(self, service: str, replicas: int, go_first: object) -> None:
            await asyncio.sleep(60)

    told = _Told()
    actor = Actor(Busy(), told.place, told.fail)
    task = asyncio.create_task(actor.run())
    actor.order(Order(CHAT, 2))
    await asyncio.sleep(61)
    assert (told.placed, told.failed) == ([2], [])
    await _end(task)


async def test_a_fault_of_the_client_does_not_end_the_orders_of_the_service() -> None:
    class Broken(MemoryCluster):
        broken = True

        async def scale(self, service: str, replicas: int, go_first: object) -> None:
            if self.broken:
                raise KeyError("a bug")

    cluster, told = Broken(), _Told()
    actor = Actor(cluster, told.place, told.fail)
    task = asyncio.create_task(actor.run())
    actor.order(Order(CHAT, 2))
    await asyncio.sleep(1)
    cluster.broken = False
    await asyncio.sleep(5)
    assert told.failed[0][2] == "KeyError: 'a bug'"
    assert told.placed == [2]
    await _end(task)
