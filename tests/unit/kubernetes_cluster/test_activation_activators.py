"""Which activators a service's slice names, and in which order and how fast many slices follow a change."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.activation_settings import ActivationSettings
from tests.unit.kubernetes_cluster.activation_store import CHAT, ONE, TARGET, TWO, activators
from tests.unit.kubernetes_cluster.activation_world import ASLEEP, UP, world

pytestmark = pytest.mark.looptime


async def test_an_activator_that_is_gone_is_taken_out_at_once_and_the_service_stays_in_the_path() -> None:
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        here.store.activators_changed(activators(TWO))
        assert here.activation.path(CHAT).in_path, "the other one has been led to all the while"
        await asyncio.sleep(0.05)
        assert here.addresses == [TWO.address]
        assert here.activation.path(CHAT).in_path


async def test_a_new_activator_alone_counts_only_once_it_has_spread() -> None:
    async with world(ASLEEP) as here:
        here.store.activators_changed(activators(ONE))
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        here.store.activators_changed(activators(TWO))
        assert not here.activation.path(CHAT).in_path
        await asyncio.sleep(1.6)
        assert here.activation.path(CHAT).in_path


async def test_without_a_ready_activator_nothing_may_sleep_and_the_reason_is_said() -> None:
    async with world() as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        here.store.activators_changed(activators(ONE, TWO, ready=False))
        with pytest.raises(ClusterError, match="no activator is ready"):
            here.activation.check_may_sleep(CHAT)
        here.store.activators_changed(activators())
        await asyncio.sleep(0.1)
        with pytest.raises(ClusterError, match="no activator is running"):
            await here.activation.put(CHAT, True)
        assert here.addresses == []


async def test_services_that_sleep_are_written_before_those_that_are_up() -> None:
    async with world(None, at_once=1) as here:
        for number in range(6):
            subject = ASLEEP if number % 2 else UP
            here.activation.service(f"default/m{number}", subject)
            await here.activation.put(f"default/m{number}", True)
        await asyncio.sleep(0.1)
        here.store.writes.clear()
        here.store.activators_changed(activators(TWO))
        await asyncio.sleep(1)
        names = [name for _, _, name in here.store.writes]
        assert names == [f"m{number}-pilotlight" for number in (1, 3, 5, 0, 2, 4)]


async def test_of_a_thousand_services_few_are_written_at_a_time() -> None:
    async with world(None) as here:
        for number in range(1_000):
            here.activation.service(f"default/m{number}", UP)
        await asyncio.sleep(2)
        assert here.store.most_at_once == 12, "a quarter of all turns is for wakes"
        assert len(here.store.stored) == 1_000
        assert len({facts.port for facts in here.store.stored.values()}) == 1_000


async def test_services_that_activators_are_only_the_fallback_of_are_written_at_leisure() -> None:
    async with world(ASLEEP, settings=ActivationSettings(unhurried=50.0)) as here:
        for number in range(500):
            here.activation.service(f"default/m{number}", UP)
        await asyncio.sleep(2)
        here.store.writes.clear()
        began = asyncio.get_running_loop().time()
        here.store.activators_changed(activators(TWO))
        await asyncio.sleep(0.5)
        here.store.activators_changed(activators(ONE, TWO))  # a roll-out goes on
        here.store.activators_changed(activators(ONE))
        await asyncio.sleep(15)
        times = [at - began for at, _, name in here.store.writes if name != "chat-pilotlight"]
        first = here.store.writes[0]
        assert (first[2], round(first[0] - began, 2)) == ("chat-pilotlight", 0.01), "who sleeps does not wait"
        assert max(sum(1 for at in times if second <= at < second + 1) for second in range(12)) <= 100
        assert 500 <= len(times) <= 530, "each once, but for those that were written between two changes"
        assert {facts.fallback or facts.endpoints for facts in here.store.stored.values()} == {(ONE,)}


async def test_both_families_of_addresses_are_led() -> None:
    both = replace(TARGET, families=("IPv4", "IPv6"))
    six = replace(ONE, address="fd00::1")
    async with world(replace(ASLEEP, target=both)) as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        assert not here.activation.path(CHAT).in_path, "no activator has an address of the second family"
        here.store.activators_changed(activators(ONE, six))
        await asyncio.sleep(2)
        assert here.activation.path(CHAT).in_path
        assert [e.address for e in here.store.stored["default", "chat-pilotlight-ipv6"].endpoints] == ["fd00::1"]
