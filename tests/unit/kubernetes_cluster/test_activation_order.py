"""When the activator is in the path and when it has left it, and that at rest nothing is written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.ports import PortRange
from tests.unit.kubernetes_cluster.activation_store import CHAT, ONE, TWO
from tests.unit.kubernetes_cluster.activation_world import ASLEEP, UP, world

pytestmark = pytest.mark.looptime


async def test_a_managed_service_has_a_slice_that_names_nobody_and_records_its_port() -> None:
    async with world() as here:
        assert here.addresses == []
        assert here.slice.port == here.activation.path(CHAT).port in PortRange()
        assert not here.activation.path(CHAT).in_path


async def test_the_activator_is_in_the_path_only_once_the_slice_was_taken_and_has_spread() -> None:
    async with world() as here:
        await here.activation.put(CHAT, True)
        assert here.addresses == [ONE.address, TWO.address]
        await asyncio.sleep(1.4)
        assert not here.activation.path(CHAT).in_path
        here.changes.clear()
        await asyncio.sleep(0.11)
        assert here.activation.path(CHAT).in_path
        assert here.changes == [CHAT], "and who shows it is told"


async def test_a_service_may_not_sleep_before_that() -> None:
    async with world() as here:
        with pytest.raises(ClusterError, match="not in the path"):
            here.activation.check_may_sleep(CHAT)
        await here.activation.put(CHAT, True)
        with pytest.raises(ClusterError, match="not in the path"):
            here.activation.check_may_sleep(CHAT)
        await asyncio.sleep(1.6)
        here.activation.check_may_sleep(CHAT)


async def test_out_of_the_path_is_not_in_it_at_once_and_has_left_it_only_once_that_has_spread() -> None:
    async with world() as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(4)
        await here.activation.put(CHAT, False)
        path = here.activation.path(CHAT)
        assert (path.in_path, path.left) == (False, False)
        await asyncio.sleep(1.51)
        assert here.activation.path(CHAT).left


async def test_nobody_is_sent_away_from_a_service_without_a_ready_pod() -> None:
    async with world(ASLEEP) as here:
        assert here.addresses == [ONE.address, TWO.address], "nobody else takes its connections"
        await here.activation.put(CHAT, False)
        assert here.addresses == [ONE.address, TWO.address]


async def test_the_activator_leaves_only_once_connections_are_led_to_the_pod_that_became_ready() -> None:
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        here.activation.service(CHAT, UP)
        await here.activation.put(CHAT, False)
        await asyncio.sleep(2.9)
        assert here.addresses == [ONE.address, TWO.address]
        await asyncio.sleep(0.2)
        assert here.addresses == []


async def test_activators_that_have_left_are_the_fallback_so_that_a_lost_pod_leaves_no_closed_door() -> None:
    async with world(UP) as here:
        await here.activation.put(CHAT, False)
        await asyncio.sleep(3.1)
        assert (here.addresses, here.fallback) == ([], [ONE.address, TWO.address])
        here.activation.service(CHAT, replace(UP, ready=0))
        await asyncio.sleep(0.1)
        assert (here.addresses, here.fallback) == ([ONE.address, TWO.address], [])


async def test_a_pod_that_is_lost_meanwhile_keeps_the_activator_in_the_path() -> None:
    async with world(UP) as here:
        await here.activation.put(CHAT, False)
        here.activation.service(CHAT, replace(UP, ready=0))
        await asyncio.sleep(0.1)
        assert here.addresses == [ONE.address, TWO.address], "at once, before anything was decided"
        here.activation.service(CHAT, UP)
        await asyncio.sleep(3.1)
        assert here.addresses == []


async def test_at_rest_nothing_is_written() -> None:
    async with world() as here:
        await here.activation.put(CHAT, True)
        await here.activation.put(CHAT, True)
        await asyncio.sleep(3_600)
        await here.activation.put(CHAT, True)
        assert here.writes() == ["POST", "PUT"]
