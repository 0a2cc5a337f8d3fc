"""Services that are ours no longer, are gone or cannot be led: none is left asleep behind a slice that goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.activation_settings import ActivationSettings
from autoscaler.cluster.kubernetes.ports import PortRange
from tests.unit.kubernetes_cluster.activation_store import CHAT, ONE, TARGET, TWO
from tests.unit.kubernetes_cluster.activation_world import ASLEEP, UP, world

pytestmark = pytest.mark.looptime


async def test_a_service_that_is_no_longer_ours_and_sleeps_is_started_before_its_slice_goes() -> None:
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        here.activation.service(CHAT, replace(ASLEEP, managed=False))
        await asyncio.sleep(0.1)
        assert here.handed_back == [CHAT]
        assert here.activation.path(CHAT).in_path
        assert not here.activation.released(CHAT)
        here.activation.service(CHAT, replace(ASLEEP, managed=False, replicas=1))
        await asyncio.sleep(60)
        assert here.addresses == [ONE.address, TWO.address], "it is loading, and whoever comes is held"
        here.activation.service(CHAT, replace(UP, managed=False))
        await asyncio.sleep(3.1)
        assert here.store.stored == {}
        assert not here.activation.released(CHAT)
        await asyncio.sleep(1.6)
        assert here.activation.released(CHAT)
        assert here.handed_back == [CHAT]


async def test_a_service_that_is_no_longer_ours_and_up_is_just_left_alone() -> None:
    async with world() as here:
        here.activation.service(CHAT, replace(UP, managed=False))
        await asyncio.sleep(0.1)
        assert here.store.stored == {}
        assert here.handed_back == []


async def test_a_service_that_never_was_ours_gets_no_slice_and_no_port() -> None:
    async with world(replace(ASLEEP, managed=False)) as here:
        assert here.store.stored == {}
        assert here.activation.path(CHAT).port == 0
        assert here.handed_back == []
        assert here.activation.released(CHAT)


async def test_a_service_that_is_gone_keeps_its_slice_for_half_a_minute() -> None:
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        here.activation.service(CHAT, None)
        await asyncio.sleep(29)
        assert here.addresses == [ONE.address, TWO.address]
        here.activation.service(CHAT, ASLEEP)
        await asyncio.sleep(60)
        assert here.addresses == [ONE.address, TWO.address], "it had never been gone"
        here.activation.service(CHAT, None)
        await asyncio.sleep(31)
        assert here.store.stored == {}
        assert here.activation.path(CHAT).port == 0


async def test_a_headless_service_is_refused_with_the_reason() -> None:
    async with world(replace(UP, target=replace(TARGET, problem="Service chat-predictor is headless"))) as here:
        assert here.store.stored == {}
        assert here.activation.problem(CHAT) == "Service chat-predictor is headless"
        with pytest.raises(ClusterError, match="headless"):
            await here.activation.put(CHAT, True)


async def test_a_service_that_becomes_headless_while_it_sleeps_is_started_before_its_slice_goes() -> None:
    headless = replace(TARGET, problem="Service chat-predictor is headless")
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        here.activation.service(CHAT, replace(ASLEEP, target=headless))
        await asyncio.sleep(0.1)
        assert set(here.handed_back) == {CHAT}
        assert here.addresses == [ONE.address, TWO.address]
        here.activation.service(CHAT, replace(UP, target=headless))
        await asyncio.sleep(0.1)
        assert here.store.stored == {}


async def test_a_service_for_which_no_port_is_left_says_so() -> None:
    settings = ActivationSettings(ports=PortRange(10_000, 10_000))
    async with world(UP, settings=settings) as here:
        here.activation.service("default/second", UP)
        await asyncio.sleep(0.1)
        with pytest.raises(ClusterError, match="all 1 activator ports"):
            await here.activation.put("default/second", True)
