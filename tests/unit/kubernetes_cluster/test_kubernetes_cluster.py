"""KubernetesCluster as the controller sees it, with an API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from autoscaler.cluster.interface import ClusterError, ReplicaPhase, ServiceEvent, ServiceView
from autoscaler.cluster.kubernetes.copies import AUTOSCALERS, DEPLOYMENTS, INFERENCE_SERVICES, PODS, SERVICES
from autoscaler.cluster.kubernetes.kubernetes_cluster import KubernetesCluster
from autoscaler.cluster.kubernetes.opening import kubernetes_cluster
from autoscaler.cluster.kubernetes.scaling import DELETION_COST
from autoscaler.controller.service_report import url_of
from autoscaler.policy.profiles import PROFILE
from tests.unit.kubernetes_cluster import kubernetes_objects as given
from tests.unit.kubernetes_cluster.memory_api import ACTIVATORS, SLICES, MemoryApi

pytestmark = pytest.mark.looptime

CHAT = "default/chat"
PROFILES = "/api/v1/namespaces/pilotlight-system/configmaps"


class Shown:
    def __init__(self, api: MemoryApi, cluster: KubernetesCluster) -> None:
        self.api = api
        self.cluster = cluster
        self.history: list[tuple[float, tuple[ServiceView, ...]]] = []

    async def follow(self) -> None:
        async for views in self.cluster.watch():
            self.history.append((asyncio.get_running_loop().time(), views))

    @property
    def views(self) -> dict[str, ServiceView]:
        return {view.service: view for view in self.history[-1][1]}

    async def until(self, true: Callable[[dict[str, ServiceView]], bool]) -> dict[str, ServiceView]:
        async with asyncio.timeout(60.0):
            while not self.history or not true(self.views):
                await asyncio.sleep(0.01)
        return self.views


@asynccontextmanager
async def shown(api: MemoryApi) -> AsyncIterator[Shown]:
    async with kubernetes_cluster(api, api, "pilotlight-system", "one") as cluster:
        seen = Shown(api, cluster)
        following = asyncio.create_task(seen.follow())
        try:
            yield seen
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def with_chat(*, replicas: int = 1, ready: bool = True) -> MemoryApi:
    api = MemoryApi()
    api.put(INFERENCE_SERVICES.path, given.inference_service())
    api.put(DEPLOYMENTS.path, given.deployment(replicas=replicas))
    api.put(SERVICES.path, given.service())
    for index in range(replicas):
        api.put(PODS.path, pod(index, ready=ready))
    return api


def pod(index: int, *, ready: bool = True, name: str = "chat", deleted: bool = False) -> dict[str, object]:
    owner = f"{name}-predictor-7d4f"
    conditions = {"PodScheduled": "True", "Ready": str(ready)}
    return given.pod(f"{owner}-{index}", name, owner=owner, conditions=conditions, deleted=deleted)


def add_activator(api: MemoryApi) -> None:
    activator = given.pod("activator-1", ip="10.9.9.9")
    api.put(ACTIVATORS, {**activator, "metadata": {"namespace": "pilotlight-system", "name": "activator-1"}})


async def test_a_service_is_shown_with_its_replicas_and_a_port() -> None:
    async with shown(with_chat(replicas=2)) as seen:
        views = await seen.until(lambda views: views[CHAT].port > 0)
        assert [replica.phase for replica in views[CHAT].replicas] == [ReplicaPhase.READY] * 2
        assert (views[CHAT].wanted, views[CHAT].activator_in_path) == (2, False)


@pytest.mark.parametrize(
    ("status", "url"),
    [
        ({"url": "http://chat.example.com"}, "http://chat.example.com"),
        ({}, "http://chat-predictor.default"),
    ],
)
async def test_where_clients_ask_is_what_kserve_says_or_its_service(status: dict[str, object], url: str) -> None:
    api = with_chat()
    api.put(INFERENCE_SERVICES.path, given.inference_service(status=status))
    async with shown(api) as seen:
        assert url_of((await seen.until(lambda views: views[CHAT].port > 0))[CHAT]) == url
        api.put(INFERENCE_SERVICES.path, given.inference_service(annotations={}))
        assert url_of((await seen.until(lambda views: bool(views[CHAT].refused)))[CHAT]) is None


async def test_what_does_not_change_stays_the_same_object() -> None:
    api = with_chat()
    api.put(INFERENCE_SERVICES.path, given.inference_service("other"))
    async with shown(api) as seen:
        before = await seen.until(lambda views: len(views) == 2 and all(view.port for view in views.values()))
        api.put(PODS.path, pod(0, ready=False))
        after = await seen.until(lambda views: views[CHAT].replicas[0].phase is ReplicaPhase.STARTING)
        assert after["default/other"] is before["default/other"]


async def test_the_first_change_is_told_at_once_and_those_that_follow_together() -> None:
    api = with_chat()
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        await asyncio.sleep(5.0)
        began, times = asyncio.get_running_loop().time(), len(seen.history)
        for index in range(1, 50):
            api.put(PODS.path, pod(index))
            await asyncio.sleep(0.001)
        await seen.until(lambda views: len(views[CHAT].replicas) == 50)
        told = [at - began for at, _ in seen.history[times:]]
        assert told[0] < 0.002
        assert len(told) <= 5


async def test_an_update_that_says_nothing_new_is_not_told() -> None:
    api = with_chat()
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        await asyncio.sleep(5.0)
        times = len(seen.history)
        api.put(PODS.path, pod(0))
        api.put(DEPLOYMENTS.path, given.deployment())
        await asyncio.sleep(1.0)
        assert len(seen.history) == times


async def test_a_service_that_is_refused_is_not_scaled() -> None:
    api = with_chat()
    api.put(AUTOSCALERS.path, given.autoscaler())
    async with shown(api) as seen:
        views = await seen.until(lambda views: bool(views[CHAT].refused))
        assert [refusal.code for refusal in views[CHAT].refused] == ["OwnedByAnother"]
        with pytest.raises(ClusterError, match="may not be scaled"):
            await seen.cluster.scale(CHAT, 2, ())
        api.delete(AUTOSCALERS.path, "chat")
        await seen.until(lambda views: not views[CHAT].refused)
        await seen.cluster.scale(CHAT, 2, ())
        assert (await seen.until(lambda views: views[CHAT].wanted == 2))[CHAT].wanted == 2


async def test_costs_stay_until_those_who_go_first_have_gone() -> None:
    api = with_chat(replicas=3)
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        first, second = "chat-predictor-7d4f-1", "chat-predictor-7d4f-2"
        await seen.cluster.scale(CHAT, 1, (first, second))
        await asyncio.sleep(5.0)

        def cost(name: str) -> bool:
            metadata = api.get(PODS.path, name)["metadata"]
            assert isinstance(metadata, dict)
            return DELETION_COST in metadata["annotations"]

        assert [cost(first), cost(second)] == [True, True]
        api.delete(PODS.path, first)
        await asyncio.sleep(1.0)
        assert cost(second)
        await seen.cluster.scale(CHAT, 2, ())  # load came back before it had gone
        await asyncio.sleep(1.0)
        assert not cost(second)


async def test_zero_is_not_ordered_while_connections_would_be_refused() -> None:
    api = with_chat()
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        with pytest.raises(ClusterError, match="the activator is not in the path"):
            await seen.cluster.scale(CHAT, 0, ())
        add_activator(api)
        await asyncio.sleep(0.5)
        await seen.cluster.put_activator(CHAT, True)
        await seen.until(lambda views: views[CHAT].activator_in_path)
        await seen.cluster.scale(CHAT, 0, ())
        await seen.until(lambda views: views[CHAT].wanted == 0)


@pytest.mark.parametrize(
    "annotations", [{}, {**given.ON, "pilotlight.dev/scaling": "off"}], ids=["the annotation goes", "it says off"]
)
async def test_a_service_that_is_asleep_and_no_longer_ours_is_handed_back_awake(annotations: dict[str, str]) -> None:
    api = with_chat()
    add_activator(api)
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        await asyncio.sleep(0.5)
        await seen.cluster.put_activator(CHAT, True)
        await seen.until(lambda views: views[CHAT].activator_in_path)
        await seen.cluster.scale(CHAT, 0, ())
        api.delete(PODS.path, "chat-predictor-7d4f-0")
        await seen.until(lambda views: views[CHAT].wanted == 0)
        api.put(INFERENCE_SERVICES.path, given.inference_service(annotations=annotations, generation=2))
        await seen.until(lambda views: views[CHAT].wanted == 1)
        assert api.get(SLICES, "chat-pilotlight")  # until it is ready, the activator still takes connections
        api.put(PODS.path, pod(7))
        if annotations:
            await seen.until(lambda views: views[CHAT].activator_left)
        else:
            await seen.until(lambda views: CHAT not in views)
        assert not api.get(SLICES, "chat-pilotlight").get("endpoints")


async def test_while_it_is_handed_back_nobody_scales_it() -> None:
    api = with_chat()
    add_activator(api)
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        api.put(INFERENCE_SERVICES.path, given.inference_service(annotations={}))
        await asyncio.sleep(0.1)
        with pytest.raises(ClusterError, match="nothing asks for it"):
            await seen.cluster.scale(CHAT, 2, ())


async def test_in_shadow_whoever_scales_goes_on_and_nothing_is_ordered() -> None:
    api = with_chat(replicas=2)
    api.put(INFERENCE_SERVICES.path, given.inference_service(annotations={"pilotlight.dev/scaling": "shadow"}))
    api.put(AUTOSCALERS.path, given.autoscaler())
    async with shown(api) as seen:
        views = await seen.until(lambda views: CHAT in views)
        assert views[CHAT].refused == ()
        with pytest.raises(ClusterError, match="is not to be scaled"):
            await seen.cluster.scale(CHAT, 1, ())


async def test_orders_for_what_is_not_there_say_so() -> None:
    api = MemoryApi()
    api.put(INFERENCE_SERVICES.path, given.inference_service())
    async with shown(api) as seen:
        await seen.until(lambda views: CHAT in views)
        with pytest.raises(ClusterError, match="there is no InferenceService default/other"):
            await seen.cluster.scale("default/other", 1, ())
        with pytest.raises(ClusterError, match="there is no Deployment chat-predictor"):
            await seen.cluster.scale(CHAT, 1, ())


async def test_news_become_events_while_it_is_watched() -> None:
    api = with_chat()
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].port > 0)
        seen.cluster.tell(CHAT, ServiceEvent("Woken", "Scale", "Wakes with 1"))
        seen.cluster.tell("default/other", ServiceEvent("Woken", "Scale", "of nobody"))
        await asyncio.sleep(0.1)
    events = [body for method, path, body in api.writes if path.endswith("/events")]
    assert [event and event["note"] for event in events] == ["Wakes with 1"]


async def test_a_service_that_is_gone_is_not_shown() -> None:
    api = with_chat()
    async with shown(api) as seen:
        await seen.until(lambda views: CHAT in views)
        api.delete(INFERENCE_SERVICES.path, "chat")
        await seen.until(lambda views: not views)


async def test_without_a_watch_nothing_is_written() -> None:
    api = with_chat()
    async with kubernetes_cluster(api, api, "pilotlight-system", "one") as cluster:
        await cluster.synced()
        cluster.tell(CHAT, ServiceEvent("Woken", "Scale", "Wakes with 1"))
        await asyncio.sleep(30.0)
    assert api.writes == []


async def test_an_edit_of_a_profile_touches_those_that_name_one_and_nobody_else() -> None:
    api = with_chat()
    naming = {**given.ON, PROFILE: "batch"}
    api.put(INFERENCE_SERVICES.path, given.inference_service("naming", annotations=naming))
    async with shown(api) as seen:
        before = await seen.until(lambda views: len(views) == 2 and all(view.port for view in views.values()))
        assert before["default/naming"].profiles.by_name == {}
        metadata = {"namespace": "pilotlight-system", "name": "pilotlight-profiles"}
        api.put(PROFILES, {"metadata": metadata, "data": {"batch": "target: 7"}})
        after = await seen.until(lambda views: "batch" in views["default/naming"].profiles.by_name)
        assert after[CHAT] is before[CHAT]
        api.delete(PROFILES, "pilotlight-profiles", "pilotlight-system")
        await seen.until(lambda views: views["default/naming"].profiles.by_name["batch"].superseded_by != ())
        [trouble] = seen.cluster.trouble
        assert "profile batch" in trouble
        api.put(INFERENCE_SERVICES.path, given.inference_service("naming"))
        await seen.until(lambda views: views["default/naming"].profiles.by_name == {})
        assert seen.cluster.trouble == ()


async def test_who_may_not_read_profiles_leads_without_them_until_he_may() -> None:
    api = with_chat()
    naming = {**given.ON, PROFILE: "batch"}
    api.put(INFERENCE_SERVICES.path, given.inference_service("naming", annotations=naming))
    metadata = {"namespace": "pilotlight-system", "name": "pilotlight-profiles"}
    api.put(PROFILES, {"metadata": metadata, "data": {"batch": "target: 7"}})
    api.forbidden.add(PROFILES)
    async with shown(api) as seen:
        views = await seen.until(lambda views: len(views) == 2)
        assert (views[CHAT].profiles.unread, views[CHAT].refused) == ("", ())
        assert "403" in views["default/naming"].profiles.unread
        [trouble] = seen.cluster.trouble
        assert "are not scaled" in trouble
        assert "apply the manifests" in trouble
        api.forbidden.clear()
        await seen.until(lambda views: "batch" in views["default/naming"].profiles.by_name)
        await seen.until(lambda _: seen.cluster.trouble == ())
