"""The agent's socket: what the controller sees and orders, and what happens when the agent comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from autoscaler.cluster.interface import ClusterError, ReplicaPhase, ServiceView
from autoscaler.cluster.local.client import LocalCluster
from tests.integration.local_cluster.tiny_cluster import SERVICE, running_agent, tiny

Views = tuple[ServiceView, ...]


async def next_view(watch: AsyncIterator[Views], condition: Callable[[ServiceView], bool]) -> ServiceView:
    async with asyncio.timeout(60):
        async for views in watch:
            if views and condition(views[0]):
                return views[0]
    raise AssertionError("the watch ended")


async def test_a_controller_watches_and_orders(tmp_path: Path) -> None:
    body = tiny()
    async with running_agent(tmp_path, body) as agent, LocalCluster(str(agent.socket_path)) as cluster:
        watch = cluster.watch()
        first = await next_view(watch, lambda view: True)
        assert (first.service, first.wanted, first.replicas) == (SERVICE, 0, ())
        assert first.inference_service == body
        assert first.activator_in_path
        await cluster.scale(SERVICE, 1, ())
        ordered = await next_view(watch, lambda view: view.replicas != ())
        assert ordered.wanted == 1
        ready = await next_view(watch, lambda view: view.replicas[0].phase is ReplicaPhase.READY)
        assert ready.replicas[0].ready_at is not None
        assert ready.replicas[0].ready_at >= ready.replicas[0].created_at
        await watch.aclose()  # type: ignore[attr-defined]


async def test_several_watchers_see_the_same(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent, LocalCluster(str(agent.socket_path)) as cluster:
        watches = [cluster.watch(), cluster.watch()]
        await cluster.scale(SERVICE, 2, ())
        seen = [await next_view(watch, lambda view: len(view.replicas) == 2) for watch in watches]
        names = [{replica.name for replica in view.replicas} for view in seen]
        assert names[0] == names[1]
        for watch in watches:
            await watch.aclose()  # type: ignore[attr-defined]


async def test_a_watch_survives_the_agent_being_away(tmp_path: Path) -> None:
    async with LocalCluster(str(tmp_path / "run" / "agent.sock")) as cluster:
        watch = cluster.watch()
        waiting = asyncio.create_task(next_view(watch, lambda view: True))
        for _ in range(2):
            async with running_agent(tmp_path, tiny()):
                assert (await waiting).service == SERVICE
                waiting = asyncio.create_task(next_view(watch, lambda view: True))
        await cluster.close()
        with pytest.raises(AssertionError, match="the watch ended"):
            await waiting


@pytest.mark.parametrize(
    ("service", "replicas", "message"),
    [("default/other", 1, "there is no service default/other here; there are: default/tiny"), (SERVICE, -1, "not -1")],
)
async def test_an_order_that_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, service: str, replicas: int, message: str
) -> None:
    async with running_agent(tmp_path, tiny()) as agent, LocalCluster(str(agent.socket_path)) as cluster:
        with pytest.raises(ClusterError, match=message):
            await cluster.scale(service, replicas, ())


async def test_an_order_to_an_agent_that_is_away_fails(tmp_path: Path) -> None:
    async with LocalCluster(str(tmp_path / "agent.sock")) as cluster:
        with pytest.raises(ClusterError, match="could not be ordered"):
            await cluster.scale(SERVICE, 1, ())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"replicas": true}', b'{"replicas": 1, "go_first": "a"}', b'{"replicas": "\xff"}'],
)
async def test_a_malformed_order_is_answered_and_changes_nothing(tmp_path: Path, body: bytes) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        connector = aiohttp.UnixConnector(path=str(agent.socket_path))
        url = f"http://agent/services/{SERVICE}/scale"
        async with aiohttp.ClientSession(connector=connector) as http, http.put(url, data=body) as answer:
            assert answer.status == 400
            assert "error" in await answer.json()
        assert agent.views[0].wanted == 0


async def test_only_the_user_can_open_the_socket(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        assert agent.socket_path.stat().st_mode & 0o777 == 0o600
        assert agent.run_directory.stat().st_mode & 0o777 == 0o700
