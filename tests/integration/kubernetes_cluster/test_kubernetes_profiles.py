"""The copy of the profiles' ConfigMap follows what is written, and keeps what was good when that is taken away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from autoscaler.cluster.kubernetes import profiles_copy
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.profiles_copy import ProfilesCopy
from autoscaler.cluster.kubernetes.reduction import inference_service_facts
from autoscaler.cluster.kubernetes.reflector import Patience
from autoscaler.policy.profiles import NO_PROFILES, Profiles, read_profiles
from tests.integration.kubernetes_cluster.stand_in_api_server import Fault, StandInApiServer, serving
from tests.until import until

CONFIG_MAPS = "/api/v1/namespaces/pilotlight-system/configmaps"
NAME = "pilotlight-profiles"
HASTE = Patience(first_pause=0.005, longest_pause=0.02, short_watch=0.02)


def naming(profile: str) -> InferenceServiceFacts:
    facts = inference_service_facts({"metadata": {"name": "chat", "annotations": {"pilotlight.dev/scaling": "on"}}})
    assert facts is not None
    return replace(facts, profile=profile)


@asynccontextmanager
async def following(server: StandInApiServer) -> AsyncIterator[tuple[ProfilesCopy, list[int]]]:
    """A copy, and how many profiles were in force after each change."""
    changes: list[int] = []
    async with serving(server, CONFIG_MAPS) as connection:
        copy = ProfilesCopy(connection, "pilotlight-system", lambda: changes.append(len(copy.in_force.by_name)), HASTE)
        running = asyncio.create_task(copy.run())
        try:
            async with asyncio.timeout(30.0):
                await copy.settled.wait()
            yield copy, changes
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def window(copy: ProfilesCopy) -> object:
    return [setting.value for setting in copy.in_force.by_name["batch"].settings]


async def test_only_the_one_config_map_is_asked_for_and_none_is_fine() -> None:
    server = StandInApiServer()
    async with following(server) as (copy, changes):
        assert server.selected == {f"metadata.name={NAME}"}
        assert (copy.in_force, changes, [*copy.in_trouble]) == (NO_PROFILES, [0], [])
        server.put(NAME, data={"batch": "stable-window: 2m"})
        await until(lambda: changes == [0, 1])
        assert window(copy) == [120.0]


async def test_an_edit_counts_and_one_that_cannot_be_read_leaves_what_was_good() -> None:
    server = StandInApiServer()
    server.put(NAME, data={"batch": "stable-window: 2m"})
    async with following(server) as (copy, changes):
        copy.named_by(None, naming("batch"))
        server.put(NAME, data={"batch": "stable-window: 3m"})
        await until(lambda: window(copy) == [180.0])
        server.put(NAME, data={"batch": "stable-window: soon"})
        await until(lambda: len(changes) == 3)
        [trouble] = copy.in_trouble
        assert "profile batch is in force as it was before" in trouble
        assert "soon" in trouble
        assert window(copy) == [180.0]
        copy.named_by(naming("batch"), naming(""))
        assert [*copy.in_trouble] == [], "what nobody names troubles nobody"


async def test_one_that_is_deleted_while_the_watch_was_away_stays_in_force_for_who_names_it() -> None:
    server = StandInApiServer()
    server.put(NAME, data={"batch": "stable-window: 2m", "other": "target: 3"})
    async with following(server) as (copy, changes):
        copy.named_by(None, naming("batch"))
        server.list_faults.append(Fault.UNAVAILABLE)
        server.watch_faults.append(Fault.GONE_EVENT)
        server.delete(NAME)
        server.cut()
        await until(lambda: changes[-1] == 1)
        assert window(copy) == [120.0]
        assert "not there any more" in next(copy.in_trouble)
        server.put(NAME, data={"batch": "stable-window: 4m"})
        await until(lambda: window(copy) == [240.0])
        assert [*copy.in_trouble] == []


async def test_a_large_one_is_read_aside_and_the_latest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[object] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(config_map: Mapping[str, object]) -> Profiles:
        readers.append(threading.current_thread())
        begun.set()
        assert go_on.wait(30.0)
        return read_profiles(config_map)

    monkeypatch.setattr(profiles_copy, "read_profiles", slow)
    server = StandInApiServer()
    async with following(server) as (copy, changes):
        copy.named_by(None, naming("batch"))
        server.put(NAME, data={"batch": "stable-window: 2m"})
        await until(begun.is_set)
        server.put(NAME, data={"batch": "stable-window: 3m"})
        server.put(NAME, data={"batch": "stable-window: 4m"})
        await until(lambda: copy._latest == {"data": {"batch": "stable-window: 4m"}})
        go_on.set()
        await until(lambda: len(changes) == 3)
        assert window(copy) == [240.0]
        assert len(readers) == 2, "what was overtaken is not read"
        assert threading.current_thread() not in readers
