"""Views of many services are made with pauses, in which the Lease is renewed and wakes are seen to."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.cluster.interface import ServiceView
from autoscaler.cluster.kubernetes.copies import INFERENCE_SERVICES
from autoscaler.cluster.kubernetes.opening import kubernetes_cluster
from autoscaler.cluster.kubernetes.views import view_of
from tests.unit.kubernetes_cluster import kubernetes_objects as given
from tests.unit.kubernetes_cluster.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


async def test_no_more_than_fifty_views_are_made_before_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    api = MemoryApi()
    for number in range(300):
        api.put(INFERENCE_SERVICES.path, given.inference_service(f"m{number}"))
    made_in_a_row: list[int] = [0]

    def counted(*of: object) -> ServiceView:
        if made_in_a_row[-1] == 0:
            asyncio.get_running_loop().call_soon(made_in_a_row.append, 0)
        made_in_a_row[-1] += 1
        return view_of(*of)  # type: ignore[arg-type]

    monkeypatch.setattr("autoscaler.cluster.kubernetes.kubernetes_cluster.view_of", counted)
    async with kubernetes_cluster(api, api, "pilotlight-system", "one") as cluster:
        async for views in cluster.watch():
            assert len(views) == 300
            break
    assert sum(made_in_a_row) >= 300
    assert max(made_in_a_row) <= 50
