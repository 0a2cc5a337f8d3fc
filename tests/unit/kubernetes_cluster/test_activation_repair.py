"""What may happen to slices, Services and the API server, and that the path is made right again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.slices import LedPort
from tests.unit.kubernetes_cluster.activation_store import CHAT, ONE, TARGET, TWO
from tests.unit.kubernetes_cluster.activation_world import ASLEEP, UP, world

pytestmark = pytest.mark.looptime


async def test_a_slice_that_somebody_deletes_is_made_again_as_it_was() -> None:
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        before = here.slice
        here.store.drop("default", "chat-pilotlight")
        await asyncio.sleep(0.1)
        assert (here.slice.port, here.slice.endpoints) == (before.port, before.endpoints)
        assert not here.activation.path(CHAT).in_path, "it has to spread anew"


async def test_a_slice_that_somebody_edits_is_put_right() -> None:
    async with world() as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        right = here.slice
        here.store.put("default", replace(right, ports=((LedPort("http"), 1_234),), port=1_234))
        await asyncio.sleep(0.1)
        assert here.slice.ports == right.ports
        assert here.slice.port == right.port
        assert not here.activation.path(CHAT).in_path


async def test_a_service_that_was_made_anew_owns_the_slice_and_keeps_its_port() -> None:
    async with world() as here:
        port = here.slice.port
        here.activation.service(CHAT, replace(UP, target=replace(TARGET, uid="uid-2")))
        await asyncio.sleep(0.1)
        assert (here.slice.owner_uid, here.slice.port) == ("uid-2", port)


async def test_garbage_collection_of_the_old_services_slice_costs_a_moment_and_not_the_port() -> None:
    async with world(ASLEEP) as here:
        await here.activation.put(CHAT, True)
        port = here.slice.port
        here.activation.service(CHAT, replace(ASLEEP, target=None))
        here.store.drop("default", "chat-pilotlight")
        await asyncio.sleep(0.1)
        here.activation.service(CHAT, replace(ASLEEP, target=replace(TARGET, uid="uid-2")))
        await asyncio.sleep(0.1)
        assert (here.slice.owner_uid, here.slice.port) == ("uid-2", port)
        assert here.addresses == [ONE.address, TWO.address]


async def test_ports_of_the_service_that_change_change_the_slice() -> None:
    async with world() as here:
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        here.activation.service(CHAT, replace(UP, target=replace(TARGET, ports=(LedPort("h2c", "kubernetes.io/h2c"),))))
        assert not here.activation.path(CHAT).in_path
        await asyncio.sleep(0.1)
        assert here.slice.ports == ((LedPort("h2c", "kubernetes.io/h2c"), here.slice.port),)
        await asyncio.sleep(1.6)
        assert here.activation.path(CHAT).in_path


async def test_a_conflict_is_read_and_written_over() -> None:
    async with world() as here:
        here.store.lag = 5.0  # the watch has not told of it when we write
        here.store.put("default", replace(here.slice, ready_generation=4))
        await here.activation.put(CHAT, True)
        assert here.addresses == [ONE.address, TWO.address]
        assert here.slice.ready_generation == 4, "what somebody else recorded is kept"


async def test_an_event_that_is_older_than_what_was_written_is_no_news() -> None:
    async with world() as here:
        old = here.slice
        await here.activation.put(CHAT, True)
        await asyncio.sleep(2)
        here.store.slice_changed(old, old)
        assert here.activation.path(CHAT).in_path
        await asyncio.sleep(1)
        assert here.writes() == ["POST", "PUT"]


async def test_an_api_server_that_is_away_is_tried_until_it_is_back_and_not_hammered() -> None:
    async with world() as here:
        here.store.refuse = ApiError(0, "", "no answer")
        with pytest.raises(ClusterError, match="no answer"):
            await here.activation.put(CHAT, True)
        here.activation.service(CHAT, replace(UP, ready=2))
        here.store.asked = 0
        await asyncio.sleep(60)
        assert 5 <= here.store.asked <= 50
        here.store.refuse = None
        await asyncio.sleep(3.1)
        assert here.addresses == [ONE.address, TWO.address]
