"""What a controller that takes over finds in the slices: ports, the path, generations and policies."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from autoscaler.cluster.interface import ClusterError
from tests.unit.kubernetes_cluster.activation_store import CHAT, TARGET, MemoryStore
from tests.unit.kubernetes_cluster.activation_world import ASLEEP, UP, world

pytestmark = pytest.mark.looptime


async def test_whoever_takes_over_finds_ports_and_the_path_as_they_are_and_writes_nothing() -> None:
    store = MemoryStore()
    async with world(ASLEEP, store) as here:
        await here.activation.put(CHAT, True)
        port = here.slice.port
    store.writes.clear()
    async with world(ASLEEP, store) as here:
        await asyncio.sleep(2)
        path = here.activation.path(CHAT)
        assert (path.port, path.in_path) == (port, True)
        assert here.store.writes == []


async def test_the_ready_generation_survives_and_only_grows() -> None:
    store = MemoryStore()
    async with world(replace(UP, ready_generation=3), store) as here:
        assert here.activation.path(CHAT).ready_generation == 3
    async with world(replace(UP, ready_generation=-1), store) as here:
        assert here.activation.path(CHAT).ready_generation == 3
        here.activation.service(CHAT, replace(UP, ready_generation=4))
        await asyncio.sleep(0.1)
        assert here.slice.ready_generation == 4


async def test_the_policy_in_force_is_recorded_for_the_next_controller() -> None:
    store = MemoryStore()
    async with world(UP, store) as here:
        here.activation.record_policy(CHAT, '{"target":7.0}')
        await asyncio.sleep(0.1)
        assert here.activation.path(CHAT).policy == '{"target":7.0}'
    store.writes.clear()
    async with world(UP, store) as here:
        await asyncio.sleep(2)
        assert here.activation.path(CHAT).policy == '{"target":7.0}'
        assert here.store.writes == []


async def test_whoever_does_not_lead_writes_nothing() -> None:
    async with world() as here:
        await here.follow()
        here.store.writes.clear()
        with pytest.raises(ClusterError, match="does not lead"):
            await here.activation.put(CHAT, True)
        here.activation.service(CHAT, replace(UP, target=replace(TARGET, uid="uid-2")))
        await asyncio.sleep(60)
        assert here.store.writes == []
        await here.lead()
        await asyncio.sleep(0.1)
        assert here.slice.owner_uid == "uid-2"


async def test_of_two_slices_with_one_port_the_younger_gets_another() -> None:
    store = MemoryStore()
    async with world(UP, store) as here:
        port = here.slice.port
        copied = replace(here.slice, service="default/copy", name="copy-pilotlight", created="2027-01-01T00:00:00Z")
        here.store.put("default", copied)
    async with world(None, store) as here:
        here.activation.service(CHAT, UP)
        here.activation.service("default/copy", replace(UP, target=replace(TARGET, name="copy-predictor")))
        await asyncio.sleep(0.2)
        assert here.slice.port == port
        assert store.stored["default", "copy-pilotlight"].port != port
