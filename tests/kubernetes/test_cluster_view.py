"""KubernetesCluster against a real API server, scheduler, controllers and kubelets."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from autoscaler.cluster.interface import ClusterError, Replica, ReplicaPhase, ServiceEvent, ServiceView
from autoscaler.cluster.kubernetes.kubernetes_cluster import KubernetesCluster
from autoscaler.cluster.kubernetes.member import open_member
from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.kubernetes import predictor_objects as given
from tests.kubernetes.kserve_side import install_kinds

ACCOUNT = "cluster-view"


@pytest.fixture
def kserve(inside: Cluster) -> Cluster:
    """The cluster with KServe's definitions and an account that has exactly the rights that are needed."""
    install_kinds(inside)
    inside.apply(*given.account(ACCOUNT))
    return inside


@pytest.fixture
def name(kserve: Cluster) -> Iterator[str]:
    """A name of one service; whatever was made of it goes at the end."""
    made = f"m{uuid.uuid4().hex[:6]}"
    yield made
    for kind in ("inferenceservice", "hpa"):
        kserve.kubectl("delete", kind, made, "--ignore-not-found", "--wait=false")
    for kind in ("deployment", "service"):
        kserve.kubectl("delete", kind, f"{made}-predictor", "--ignore-not-found", "--wait=false")


class Shown:
    """What a watch has shown last, and how often."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self.cluster = cluster
        self.views: dict[str, ServiceView] = {}
        self.times = 0
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        async for views in self.cluster.watch():
            self.views = {view.service: view for view in views}
            self.times += 1
            before, self._changed = self._changed, asyncio.Event()
            before.set()

    async def until(self, name: str, true: Callable[[ServiceView], bool], seconds: float = 40.0) -> ServiceView:
        service = f"default/{name}"
        try:
            async with asyncio.timeout(seconds):
                while service not in self.views or not true(self.views[service]):
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never so within {seconds} s: {self.views.get(service)}") from None
        return self.views[service]


@asynccontextmanager
async def shown(cluster: Cluster) -> AsyncIterator[Shown]:
    kubeconfig = await asyncio.to_thread(cluster.credentials, "default", ACCOUNT)
    async with open_member(str(kubeconfig), None, "") as member:
        watching = Shown(member.cluster)
        following = asyncio.create_task(watching.follow())
        try:
            yield watching
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def ready(view: ServiceView) -> list[Replica]:
    return [replica for replica in view.replicas if replica.phase is ReplicaPhase.READY]


async def test_replicas_are_followed_from_order_to_end(kserve: Cluster, name: str) -> None:
    mark = kserve.audit.mark()
    kserve.apply(given.inference_service(name), given.deployment(name), given.service(name))
    async with shown(kserve) as seen:
        view = await seen.until(name, lambda view: len(ready(view)) == 1)
        (replica,) = ready(view)
        assert (view.wanted, view.refused, view.ever_ready) == (1, (), True)
        assert (replica.port, replica.admin_port) == (8012, 8022)
        assert replica.host is not None
        assert replica.scheduled_at is not None
        assert replica.started_at is not None
        assert replica.ready_at is not None
        assert replica.created_at <= replica.scheduled_at <= replica.started_at <= replica.ready_at
        await seen.cluster.scale(view.service, 3, ())
        view = await seen.until(name, lambda view: len(ready(view)) == 3)
        first = view.replicas[0].name  # the oldest, which Kubernetes itself would keep
        await seen.cluster.scale(view.service, 2, (first,))
        view = await seen.until(name, lambda view: len(view.replicas) == 2)
        assert first not in {replica.name for replica in view.replicas}
        await until_no_costs(kserve, name)
    assert kserve.audit.forbidden(service_account("default", ACCOUNT), since=mark) == []


async def until_no_costs(cluster: Cluster, name: str) -> None:
    """Nobody is marked to go first any more."""
    async with asyncio.timeout(60):
        while "pod-deletion-cost" in await asyncio.to_thread(
            cluster.kubectl, "get", "pods", "-l", given.PREDICTOR.format(name=name), "-o", "json"
        ):
            await asyncio.sleep(0.1)


async def test_zero_needs_the_activator_in_the_path(kserve: Cluster, name: str) -> None:
    kserve.apply(given.inference_service(name), given.deployment(name), given.service(name))
    async with shown(kserve) as seen:
        view = await seen.until(name, lambda view: len(ready(view)) == 1)
        with pytest.raises(ClusterError, match="the activator is not in the path"):
            await seen.cluster.scale(view.service, 0, ())


async def test_a_replica_that_waits_for_a_gpu_says_so(kserve: Cluster, name: str) -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "9"}}}
    kserve.apply(given.inference_service(name), given.deployment(name, model=gpu), given.service(name))
    async with shown(kserve) as seen:
        view = await seen.until(name, lambda view: bool(view.replicas and view.replicas[0].reason))
        assert view.replicas[0].phase is ReplicaPhase.PENDING
        assert "Insufficient nvidia.com/gpu" in str(view.replicas[0].reason)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            {"command": ["sh", "-c", "echo no weights > /dev/termination-log; exit 3"]},
            "kserve-container: .*exit code 3.*no weights",
        ),
        ({"image": "localhost/there-is-none:1"}, "kserve-container: ErrImageNeverPull"),
    ],
    ids=["its model ends", "its image is missing"],
)
async def test_a_replica_that_failed_says_why(kserve: Cluster, name: str, model: dict[str, object], says: str) -> None:
    kserve.apply(given.inference_service(name), given.deployment(name, model=model), given.service(name))
    async with shown(kserve) as seen:
        view = await seen.until(
            name, lambda view: bool(view.replicas) and view.replicas[0].phase is ReplicaPhase.FAILED
        )
        reason = str(view.replicas[0].reason).replace("\n", " ")
        assert re.search(says, reason), reason


async def test_a_service_with_another_owner_is_refused_until_that_is_gone(kserve: Cluster, name: str) -> None:
    kserve.apply(given.inference_service(name), given.deployment(name), given.service(name), given.autoscaler(name))
    async with shown(kserve) as seen:
        view = await seen.until(name, lambda view: bool(view.refused))
        assert [refusal.code for refusal in view.refused] == ["OwnedByAnother"]
        with pytest.raises(ClusterError, match="scales the same Deployment"):
            await seen.cluster.scale(view.service, 2, ())
        await asyncio.to_thread(kserve.kubectl, "delete", "hpa", name)
        await seen.until(name, lambda view: not view.refused)
        await seen.cluster.scale(view.service, 2, ())
        await seen.until(name, lambda view: view.wanted == 2)


async def test_who_asks_for_nothing_is_not_touched(kserve: Cluster, name: str) -> None:
    mark = kserve.audit.mark()
    kserve.apply(given.inference_service(name, annotations={}), given.deployment(name, replicas=0), given.service(name))
    other = f"{name}x"
    kserve.apply(given.inference_service(other), given.deployment(other, replicas=0), given.service(other))
    try:
        async with shown(kserve) as seen:
            await seen.until(other, lambda view: view.port > 0)
            assert f"default/{name}" not in seen.views
        written = kserve.audit.writes(service_account("default", ACCOUNT), since=mark)
        assert {event.name for event in written if event.name.startswith(name)} <= {f"{other}-pilotlight"}
    finally:
        kserve.kubectl("delete", "inferenceservice", other, "--wait=false")
        kserve.kubectl("delete", "deployment,service", f"{other}-predictor", "--wait=false")


async def test_an_api_server_that_goes_and_comes_back_is_caught_up_with(kserve: Cluster, name: str) -> None:
    kserve.apply(given.inference_service(name), given.deployment(name), given.service(name))
    async with shown(kserve) as seen:
        await seen.until(name, lambda view: len(ready(view)) == 1)
        kserve.kill("apiserver")
        await asyncio.sleep(2.0)
        assert len(ready(seen.views[f"default/{name}"])) == 1  # what was known stays
        await asyncio.to_thread(kserve.start, "apiserver")
        await asyncio.to_thread(kserve.kubectl, "scale", "deployment", f"{name}-predictor", "--replicas=2")
        await seen.until(name, lambda view: len(ready(view)) == 2)


async def test_an_event_is_one_however_often_it_is_told_and_counts(kserve: Cluster, name: str) -> None:
    kserve.apply(given.inference_service(name), given.deployment(name, replicas=0), given.service(name))
    async with shown(kserve) as seen:
        view = await seen.until(name, lambda view: view.port > 0)
        for _ in range(3):
            seen.cluster.tell(view.service, ServiceEvent("ScaledUp", "Scale", "Up from 1 to 2: 9 requests at a time"))
        seen.cluster.tell(view.service, ServiceEvent("OwnedByAnother", "Refuse", "Not scaled", warning=True))
        found: list[tuple[str, str, str]] = []
        counted = 0
        async with asyncio.timeout(30.0):
            while len(found) < 2 or counted < 3:
                await asyncio.sleep(0.1)
                listed = await asyncio.to_thread(kserve.kubectl, "get", "events.events.k8s.io", "-o", "json")
                events = [
                    event
                    for event in json.loads(listed)["items"]
                    if event["regarding"]["kind"] == "InferenceService" and event["regarding"]["name"] == name
                ]
                found = [(event["type"], event["reason"], event["note"]) for event in events]
                counted = max((event["series"]["count"] for event in events if event.get("series")), default=0)
        assert sorted(found) == [
            ("Normal", "ScaledUp", "Up from 1 to 2: 9 requests at a time"),
            ("Warning", "OwnedByAnother", "Not scaled"),
        ]


async def test_at_rest_nothing_is_written_and_nothing_is_shown(kserve: Cluster, name: str) -> None:
    kserve.apply(given.inference_service(name), given.deployment(name), given.service(name))
    async with shown(kserve) as seen:
        await seen.until(name, lambda view: len(ready(view)) == 1 and view.port > 0)
        await asyncio.sleep(3.0)
        mark, times = kserve.audit.mark(), seen.times
        await asyncio.sleep(5.0)
        assert kserve.audit.writes(service_account("default", ACCOUNT), since=mark) == []
        assert seen.times == times
