"""A thousand services that all have something to be written: few at a time, and who is waited for first."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.path_state import Subject
from autoscaler.cluster.kubernetes.write_turns import Urgency
from tests.unit.kubernetes_cluster.activation_store import MemoryStore
from tests.unit.kubernetes_cluster.activation_world import ASLEEP, UP, world

pytestmark = pytest.mark.looptime

SERVICES = [f"default/m{number}" for number in range(1_000)]


async def test_first_decisions_on_a_thousand_services_are_all_placed_few_at_a_time() -> None:
    async with world(None) as here:
        for service in SERVICES:
            here.activation.service(service, UP)
        await asyncio.gather(*(here.activation.put(service, True) for service in SERVICES))
        assert here.store.most_at_once <= 16
        assert all(facts.endpoints for facts in here.store.stored.values())
        assert Counter(name for _, _, name in here.store.writes).most_common(1)[0][1] <= 2
        assert len(here.store.stored) == 1_000


async def test_a_wake_and_the_door_of_a_service_that_lost_its_pods_stand_behind_none_of_them() -> None:
    async with world(None) as here:
        for service in SERVICES:
            here.activation.service(service, UP)
        many = [asyncio.create_task(here.activation.put(service, True)) for service in SERVICES]
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        async with here.turns.turn(Urgency.WAKE):
            assert asyncio.get_running_loop().time() == began
        here.activation.service(SERVICES[-1], ASLEEP)
        await asyncio.sleep(0.03)
        assert here.store.stored["default", "m999-pilotlight"].endpoints
        assert not all(order.done() for order in many)
        await asyncio.gather(*many)


async def test_a_thousand_tries_that_fail_do_not_come_again_all_at_once() -> None:
    async with world(None) as here:
        here.store.refuse = ApiError(429, "TooManyRequests", "busy", retry_after=2.0)
        for service in SERVICES:
            here.activation.service(service, UP)
        await asyncio.sleep(30)
        assert here.store.most_at_once <= 16
        assert here.store.asked <= 16 * 16, "each time that the server has been left alone as it asked, so many"
        here.store.refuse = None
        await asyncio.sleep(15)
        assert len(here.store.stored) == 1_000


@pytest.mark.parametrize("subject", [UP, ASLEEP], ids=["up", "asleep"])
@pytest.mark.parametrize("in_path", [True, False], ids=["led to", "fallback"])
async def test_a_restart_with_nothing_changed_writes_nothing_and_orders_wait_for_no_turn(
    in_path: bool, subject: Subject
) -> None:
    store = MemoryStore()
    services = SERVICES[:50]
    async with world(None, store) as here:
        for service in services:
            here.activation.service(service, subject)
            here.activation.record_policy(service, "{}")
            await here.activation.put(service, in_path)
        await asyncio.sleep(5)
    store.writes.clear()
    async with world(None, store) as here:
        for service in services:
            here.activation.service(service, subject)
            here.activation.record_policy(service, "{}")
        await asyncio.gather(*(here.activation.put(service, in_path) for service in services))
        await asyncio.sleep(60)
        assert store.writes == []
