"""The activator's place in the path: the order of things, what survives what, and that nothing is written at rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.activation import Activation
from autoscaler.cluster.kubernetes.activation_settings import ActivationSettings
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.path_state import Subject
from autoscaler.cluster.kubernetes.ports import PortRange
from autoscaler.cluster.kubernetes.slices import LedPort, SliceFacts
from tests.unit.kubernetes_cluster.activation_store import CHAT, ONE, TARGET, TWO, MemoryStore, activators

pytestmark = pytest.mark.looptime

UP = Subject(TARGET, managed=True, replicas=1, ready=1)
ASLEEP = Subject(TARGET, managed=True, replicas=0, ready=0)


class World:
    """An Activation that leads, over a store, with one service."""

    def __init__(self, store: MemoryStore, settings: ActivationSettings) -> None:
        self.store = store
        self.handed_back: list[str] = []
        self.changes: list[str] = []
        self.activation = Activation(store, self._hand_back, self.changes.append, settings)
        self._leading: asyncio.Task[None] | None = None

    async def _hand_back(self, service: str) -> None:
        self.handed_back.append(service)

    async def lead(self) -> None:
        self._leading = asyncio.create_task(self.activation.lead())
        await self.activation.leading.wait()

    async def follow(self) -> None:
        assert self._leading is not None
        self._leading.cancel()
        await asyncio.gather(self._leading, return_exceptions=True)

    @property
    def slice(self) -> SliceFacts:
        return self.store.stored["default", "chat-pilotlight"]

    @property
    def addresses(self) -> list[str]:
        return [endpoint.address for endpoint in self.slice.endpoints]

    @property
    def fallback(self) -> list[str]:
        return [endpoint.address for endpoint in self.slice.fallback]

    def writes(self) -> list[str]:
        return [what for _, what, _ in self.store.writes]


@asynccontextmanager
async def world(
    subject: Subject | None = UP,
    store: MemoryStore | None = None,
    settings: ActivationSettings = ActivationSettings(),  # noqa: B008
) -> AsyncIterator[World]:
    there = World(store or MemoryStore(), settings)
    running = asyncio.create_task(there.activation.run())
    for facts in there.store.stored.values():
        there.store.slice_changed(None, facts)
    there.store.activators_changed(activators(ONE, TWO))
    if subject is not None:
        there.activation.service(CHAT, subject)
    await there.lead()
    await asyncio.sleep(0.5)
    try:
        yield there
    finally:
        await there.follow()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# Order of operations


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


# What may happen to slices


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


# Activators


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
    settings = ActivationSettings(writers=1)
    async with world(None, settings=settings) as here:
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


async def test_a_thousand_services_are_written_sixteen_at_a_time() -> None:
    async with world(None) as here:
        for number in range(1_000):
            here.activation.service(f"default/m{number}", UP)
        await asyncio.sleep(2)
        assert here.store.most_at_once == 16
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


# Handing back


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


# Restarts and several controllers


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


async def test_a_service_for_which_no_port_is_left_says_so() -> None:
    settings = ActivationSettings(ports=PortRange(10_000, 10_000))
    async with world(UP, settings=settings) as here:
        here.activation.service("default/second", UP)
        await asyncio.sleep(0.1)
        with pytest.raises(ClusterError, match="all 1 activator ports"):
            await here.activation.put("default/second", True)


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
