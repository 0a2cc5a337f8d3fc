"""A pod's address by its own word: who is believed, of what, and what becomes of it."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.cluster.interface import NotAuthenticatedError, ReplicaPhase
from autoscaler.cluster.kubernetes.copies import PODS
from autoscaler.cluster.kubernetes.token_review import TokenReviewer
from autoscaler.cluster.kubernetes.told_addresses import ToldAddresses
from tests.unit.kubernetes_cluster import kubernetes_objects as given
from tests.unit.kubernetes_cluster.memory_api import MemoryApi
from tests.unit.kubernetes_cluster.test_kubernetes_cluster import CHAT, Shown, shown, with_chat
from tests.unit.kubernetes_cluster.token_reviews import Reviews, status

pytestmark = pytest.mark.looptime

POD = "chat-predictor-7d4f-0"
UID = f"uid-{POD}"
HERE = "10.0.0.7"
USER = "system:serviceaccount:default:default"


def starting(ip: str = "", *containers: dict[str, object]) -> dict[str, object]:
    conditions = {"PodScheduled": "True", "Initialized": "True"}
    return given.pod(POD, ip=ip, phase="Pending", conditions=conditions, containers=list(containers))


def waiting_for_a_pod() -> MemoryApi:
    api = with_chat(replicas=1)
    api.put(PODS.path, starting())
    return api


class Door:
    """What is asked to believe it, before one cluster; `reviews` has whose tokens there are."""

    def __init__(self, seen: Shown) -> None:
        self.reviews = Reviews(
            {
                "own": status(USER, pod=POD, uid=UID),
                "another-pods": status(USER, pod="chat-predictor-7d4f-1", uid="uid-1"),
                "an-earlier-pods-of-that-name": status(USER, pod=POD, uid="uid-0"),
                "another-namespaces": status("system:serviceaccount:foreign:default", pod=POD, uid=UID),
                "no-pods": status(USER),
                "a-users": status("default", pod=POD, uid=UID),
            }
        )
        self._told = ToldAddresses(TokenReviewer(self.reviews, asyncio.get_running_loop().time), seen.cluster)

    async def take(self, token: str = "own", pod: str = POD, address: str = HERE, peer: str = HERE) -> bool:
        return await self._told.take(f"Bearer {token}", "default", pod, address, peer)


async def test_a_pod_that_says_where_it_is_is_shown_there_before_the_api_server_knows() -> None:
    async with shown(waiting_for_a_pod()) as seen:
        views = await seen.until(lambda views: bool(views[CHAT].replicas))
        assert views[CHAT].replicas[0].host is None
        await Door(seen).take()
        views = await seen.until(lambda views: views[CHAT].replicas[0].host is not None)
        replica = views[CHAT].replicas[0]
        assert (replica.host, replica.port, replica.admin_port) == (HERE, 8012, 8022)
        assert replica.phase is ReplicaPhase.STARTING


async def test_what_the_api_server_newly_says_of_a_pod_counts_more_than_its_own_word() -> None:
    api = waiting_for_a_pod()
    async with shown(api) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        door = Door(seen)
        assert await door.take()
        assert not await door.take()
        api.put(PODS.path, starting(ip="10.0.0.9"))
        await seen.until(lambda views: views[CHAT].replicas[0].host == "10.0.0.9")


async def test_a_pod_whose_network_was_made_anew_is_shown_where_it_is_now() -> None:
    api = waiting_for_a_pod()
    api.put(PODS.path, starting(ip="10.0.0.6"))
    async with shown(api) as seen:
        await seen.until(lambda views: views[CHAT].replicas[0].host == "10.0.0.6")
        assert await Door(seen).take()
        await seen.until(lambda views: views[CHAT].replicas[0].host == HERE)
        # What kubelet tells meanwhile with the old address is no word against it.
        api.put(PODS.path, starting("10.0.0.6", given.container(waiting={"reason": "CrashLoopBackOff"})))
        views = await seen.until(lambda views: views[CHAT].replicas[0].phase is ReplicaPhase.FAILED)
        assert views[CHAT].replicas[0].host == HERE
        api.put(PODS.path, starting(ip="10.0.0.8"))
        await seen.until(lambda views: views[CHAT].replicas[0].host == "10.0.0.8")


async def test_a_pod_that_is_ready_elsewhere_may_ask_again_when_kubelet_has_told() -> None:
    async with shown(with_chat()) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        door = Door(seen)
        with pytest.raises(NotAuthenticatedError) as refused:
            await door.take()
        assert refused.value.status == 409
        assert door.reviews.asked == []


async def test_a_pod_of_the_same_name_that_comes_later_has_to_say_for_itself_where_it_is() -> None:
    api = waiting_for_a_pod()
    async with shown(api) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        await Door(seen).take()
        api.delete(PODS.path, POD)
        await seen.until(lambda views: not views[CHAT].replicas)
        later = starting()
        api.put(PODS.path, {**later, "metadata": {**later["metadata"], "uid": "uid-later"}})  # type: ignore[dict-item]
        views = await seen.until(lambda views: bool(views[CHAT].replicas))
        assert views[CHAT].replicas[0].host is None


@pytest.mark.parametrize(
    "token",
    ["another-pods", "an-earlier-pods-of-that-name", "another-namespaces", "no-pods", "a-users", "nobodys-secret"],
)
async def test_nobody_speaks_for_anothers_pod(token: str) -> None:
    async with shown(waiting_for_a_pod()) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        with pytest.raises(NotAuthenticatedError) as refused:
            await Door(seen).take(token)
        assert refused.value.status == 403
        assert token not in str(refused.value)
        facts = seen.cluster.pod("default", POD)
        assert facts is not None
        assert facts.ip == ""


@pytest.mark.parametrize(("address", "peer"), [(HERE, "10.0.0.8"), ("10.0.0.8", HERE), ("chat.evil", HERE), (HERE, "")])
async def test_nobody_has_requests_led_to_an_address_that_he_does_not_come_from(address: str, peer: str) -> None:
    async with shown(waiting_for_a_pod()) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        door = Door(seen)
        with pytest.raises(NotAuthenticatedError) as refused:
            await door.take(address=address, peer=peer)
        assert refused.value.status == 403
        assert door.reviews.asked == []


async def test_an_ipv4_address_that_came_over_an_ipv6_socket_is_the_same() -> None:
    async with shown(waiting_for_a_pod()) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        await Door(seen).take(peer=f"::ffff:{HERE}")
        assert (await seen.until(lambda views: views[CHAT].replicas[0].host is not None))[CHAT].replicas[0].host == HERE


async def test_what_is_known_or_of_nobody_costs_the_api_server_nothing() -> None:
    async with shown(with_chat()) as seen:
        await seen.until(lambda views: bool(views[CHAT].replicas))
        door = Door(seen)
        assert not await door.take(address="10.0.0.1", peer="10.0.0.1")
        with pytest.raises(NotAuthenticatedError) as refused:
            await door.take(pod="no-such-pod")
        assert refused.value.status == 404
        assert door.reviews.asked == []
