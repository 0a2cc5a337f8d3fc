"""SliceStore: who of the activators is named while they come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from autoscaler.cluster.kubernetes.activator_pods import Activators
from autoscaler.cluster.kubernetes.slice_store import SliceStore
from autoscaler.cluster.kubernetes.slices import Endpoint, Wanted
from tests.unit.kubernetes_cluster.activation_store import CHAT, TARGET
from tests.unit.kubernetes_cluster.memory_api import ACTIVATORS, SLICES, MemoryApi

STILL_OPEN = 0.2
SILENT_AFTER = 0.1


def pod(name: str, *, ready: bool, ending: bool = False) -> dict[str, object]:
    times = {"deletionTimestamp": "2026-11-21T10:00:00Z"} if ending else {}
    return {
        "metadata": {"name": name, "namespace": "pilotlight-system", **times},
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": f"10.1.0.{name}",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


class Named:
    """What the store has said of activators, the newest last."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[list[str]] = asyncio.Queue()
        self.last: list[str] = []

    def tell(self, activators: Activators) -> None:
        self.said.put_nowait([endpoint.address for endpoint in activators.endpoints])

    async def until(self, expected: list[str]) -> None:
        async with asyncio.timeout(3.0):
            while self.last != expected:
                self.last = await self.said.get()


@pytest.fixture
async def api() -> MemoryApi:
    return MemoryApi()


@pytest.fixture
async def store(api: MemoryApi) -> SliceStore:
    return SliceStore(api, api, "pilotlight-system", STILL_OPEN, SILENT_AFTER)


@pytest.fixture
async def named(api: MemoryApi, store: SliceStore) -> AsyncIterator[Named]:
    """The store runs, and one activator is ready."""
    heard = Named()
    store.activators_changed = heard.tell
    api.put(ACTIVATORS, pod("1", ready=True))
    running = asyncio.create_task(store.run())
    await heard.until(["10.1.0.1"])
    yield heard
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_one_that_was_told_to_end_is_named_until_another_is_ready(api: MemoryApi, named: Named) -> None:
    api.put(ACTIVATORS, pod("1", ready=False, ending=True))
    api.put(ACTIVATORS, pod("2", ready=False))
    for _ in range(2):  # changes, each of which is told
        assert await asyncio.wait_for(named.said.get(), 3.0) == ["10.1.0.1"]
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.2"])


async def test_or_until_it_must_have_closed_its_door(api: MemoryApi, named: Named) -> None:
    api.put(ACTIVATORS, pod("2", ready=False))
    api.put(ACTIVATORS, pod("1", ready=False, ending=True))
    await named.until(["10.1.0.2"])


async def test_or_until_it_is_gone(api: MemoryApi, named: Named) -> None:
    api.put(ACTIVATORS, pod("1", ready=False, ending=True))
    api.delete(ACTIVATORS, "1", "pilotlight-system")
    await named.until([])


async def test_one_that_the_controller_lost_is_not_named_beside_one_that_speaks(
    api: MemoryApi, store: SliceStore, named: Named
) -> None:
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.1", "10.1.0.2"])
    store.activator_heard("2", speaks=False)
    await named.until(["10.1.0.1"])
    store.activator_heard("2", speaks=True)
    await named.until(["10.1.0.1", "10.1.0.2"])


async def test_one_that_comes_again_at_once_was_never_gone(api: MemoryApi, store: SliceStore, named: Named) -> None:
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.1", "10.1.0.2"])
    store.activator_heard("2", speaks=False)
    store.activator_heard("2", speaks=True)
    await asyncio.sleep(2 * SILENT_AFTER)
    assert named.said.empty()


async def test_when_all_are_silent_it_is_the_controller_that_does_not_hear(
    api: MemoryApi, store: SliceStore, named: Named
) -> None:
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.1", "10.1.0.2"])
    store.activator_heard("1", speaks=False)
    await named.until(["10.1.0.2"])
    store.activator_heard("2", speaks=False)
    await named.until(["10.1.0.1", "10.1.0.2"])


async def test_who_begins_to_lead_takes_nobody_for_silent(api: MemoryApi, store: SliceStore, named: Named) -> None:
    api.put(ACTIVATORS, pod("2", ready=True))
    store.activator_heard("2", speaks=False)
    await named.until(["10.1.0.1"])
    store.listen_anew()
    await named.until(["10.1.0.1", "10.1.0.2"])


async def test_one_that_was_lost_with_who_led_before_is_missed_by_who_leads_now(
    api: MemoryApi, store: SliceStore, named: Named
) -> None:
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.1", "10.1.0.2"])
    store.listen_anew()
    store.activator_heard("1", speaks=True)
    await named.until(["10.1.0.1"])


async def test_one_that_who_led_before_had_taken_out_is_named_again_once_it_speaks(
    api: MemoryApi, store: SliceStore, named: Named
) -> None:
    told = asyncio.Event()
    store.slice_changed = lambda before, after: told.set()
    api.put(SLICES, Wanted(CHAT, TARGET, "IPv4", 10_000, (Endpoint("10.1.0.1"),), None).body())
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.1", "10.1.0.2"])
    await told.wait()
    store.listen_anew()
    await named.until(["10.1.0.1"])
    store.activator_heard("1", speaks=True)
    store.activator_heard("2", speaks=True)
    await named.until(["10.1.0.1", "10.1.0.2"])


async def test_where_nobody_is_heard_nobody_is_taken_out(api: MemoryApi, store: SliceStore, named: Named) -> None:
    api.put(ACTIVATORS, pod("2", ready=True))
    await named.until(["10.1.0.1", "10.1.0.2"])
    store.listen_anew()
    await asyncio.sleep(7 * SILENT_AFTER)
    said = [named.said.get_nowait() for _ in range(named.said.qsize())]
    assert all(addresses == ["10.1.0.1", "10.1.0.2"] for addresses in said)
