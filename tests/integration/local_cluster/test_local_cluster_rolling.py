"""Replicas are replaced one by one, and an edited object is followed, without ever having less than was ordered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.cluster.interface import ClusterError, Replica, ReplicaPhase
from autoscaler.cluster.local.agent import LocalAgent
from autoscaler.cluster.local.service_spec import ServiceSpec, read_services
from tests.integration.local_cluster.tiny_cluster import (
    MACHINE,
    SERVICE,
    ask,
    members,
    ready,
    running_agent,
    tiny,
    until,
)

ONE_GPU = {"limits": {"nvidia.com/gpu": 1}}


def specs(folder: Path, *inference_services: Mapping[str, object]) -> tuple[ServiceSpec, ...]:
    return read_services(inference_services, [], replace(MACHINE, gpus=("0",)), {}, folder)


def annotated(body: Mapping[str, object], **annotations: str) -> dict[str, object]:
    return {**body, "metadata": {"name": "tiny", "annotations": annotations}}


def names(replicas: tuple[Replica, ...]) -> set[str]:
    return {replica.name for replica in replicas}


async def readiness_until_rolled(agent: LocalAgent) -> tuple[int, int]:
    """The fewest replicas that were ready at any time of a roll, and the most that were not draining."""
    fewest, most = 1_000, 0

    async def watch() -> None:
        nonlocal fewest, most
        async for (view,) in agent.watch():
            phases = [replica.phase for replica in view.replicas]
            fewest = min(fewest, phases.count(ReplicaPhase.READY))
            most = max(most, len(phases) - phases.count(ReplicaPhase.DRAINING))

    watching = asyncio.create_task(watch())
    await agent.rolled()
    watching.cancel()
    return fewest, most


async def test_a_roll_replaces_all_one_by_one_and_never_has_less_than_was_ordered(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 2, ())
        before = await until(agent, ready(2))
        agent.roll()
        assert await readiness_until_rolled(agent) == (2, 3)
        after = await until(agent, ready(2))
        assert not names(before) & names(after)


async def test_where_no_gpu_is_free_for_one_more_the_old_replica_goes_first(tmp_path: Path) -> None:
    machine = replace(MACHINE, gpus=("0",))
    async with running_agent(tmp_path, tiny(resources=ONE_GPU), machine=machine) as agent:
        agent.scale(SERVICE, 1, ())
        (before,) = await until(agent, ready(1))
        agent.roll()
        (after,) = await until(agent, lambda r: ready(1)(r) and r[0].name != before.name)
        environment = (await ask(after))["env"]
        assert isinstance(environment, dict)
        assert environment["CUDA_VISIBLE_DEVICES"] == "0"


async def test_an_edited_policy_is_shown_at_once_and_no_replica_is_replaced(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        (before,) = await until(agent, ready(1))
        edited = annotated(tiny(), **{"pilotlight.dev/stable-window": "90s"})
        agent.follow(specs(tmp_path, edited))
        assert agent.views[0].generation == 2
        assert agent.views[0].inference_service == edited
        assert agent.views[0].ever_ready
        await agent.rolled()
        assert names(agent.views[0].replicas) == {before.name}


async def test_an_edited_container_rolls_its_replicas(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        (before,) = await until(agent, ready(1))
        agent.follow(specs(tmp_path, tiny("--new=yes")))
        (after,) = await until(agent, lambda r: ready(1)(r) and r[0].name != before.name)
        argv = (await ask(after))["argv"]
        assert isinstance(argv, list)
        assert "--new=yes" in argv


async def test_while_the_new_make_fails_the_old_replica_serves_until_it_is_put_right(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        (before,) = await until(agent, ready(1))
        agent.follow(specs(tmp_path, tiny("--fail=3")))
        await until(agent, lambda r: any(x.phase is ReplicaPhase.FAILED for x in r))
        await ask(before)
        agent.follow(specs(tmp_path, tiny("--right=yes")))
        (after,) = await until(agent, lambda r: ready(1)(r) and r[0].name != before.name)
        assert "--right=yes" in str((await ask(after))["argv"])


async def test_going_to_zero_in_the_middle_of_a_roll_leaves_nothing(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny("--load=0.5")) as agent:
        agent.scale(SERVICE, 1, ())
        await until(agent, ready(1))
        agent.roll()
        await until(agent, lambda replicas: len(replicas) == 2)
        agent.scale(SERVICE, 0, ())
        await until(agent, lambda replicas: replicas == ())
        await agent.rolled()
        assert members(agent.run) == []


async def test_services_come_and_go_with_the_objects(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        await until(agent, ready(1))
        agent.follow(specs(tmp_path, tiny(name="other")))
        assert [view.service for view in agent.views] == ["default/other"]
        with pytest.raises(ClusterError, match="default/other"):
            agent.scale(SERVICE, 1, ())
        agent.scale("default/other", 1, ())
        await until(agent, ready(1), "default/other")
