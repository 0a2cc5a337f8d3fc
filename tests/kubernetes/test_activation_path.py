"""Activation on a real cluster: what kube-proxy makes of our slice, and that nobody meets a closed door on the way.

The activators here only answer "held": what they do with requests is tested elsewhere. The model answers 404 (busybox).
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import aiohttp
import pytest

from autoscaler.cluster.interface import ServiceView
from autoscaler.cluster.kubernetes.activation import Activation
from autoscaler.cluster.kubernetes.activation_settings import ActivationSettings
from autoscaler.cluster.kubernetes.connection import open_connection
from autoscaler.cluster.kubernetes.copies import Copies
from autoscaler.cluster.kubernetes.events import EventRecorder
from autoscaler.cluster.kubernetes.json_object import inner, objects, text, texts
from autoscaler.cluster.kubernetes.kubernetes_cluster import KubernetesCluster
from autoscaler.cluster.kubernetes.ports import PortRange
from autoscaler.cluster.kubernetes.scaling import Scaling
from autoscaler.cluster.kubernetes.slice_store import SliceStore
from autoscaler.cluster.kubernetes.write_turns import WriteTurns
from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.cluster.product_image import IMAGE
from tests.kubernetes import predictor_objects as given
from tests.kubernetes.kserve_side import install_kinds
from tests.kubernetes.test_cluster_view import Shown, ready

ACCOUNT = "activation"
PORTS = PortRange(10_000, 10_009)
_LISTENS_EVERYWHERE = f"""
import asyncio, os
async def held(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if head.startswith(b"GET /die "):
        os._exit(137)
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\nConnection: close\\r\\n\\r\\nheld")
    await writer.drain()
    writer.close()
async def main():
    for port in range({PORTS.first}, {PORTS.last} + 1):
        await asyncio.start_server(held, "0.0.0.0", port)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def activators(namespace: str) -> tuple[dict[str, object], ...]:
    """Two of them, one on each node where that is possible."""
    labels = {"app.kubernetes.io/name": "pilotlight-activator"}
    container = {
        "name": "activator",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", _LISTENS_EVERYWHERE],
        "readinessProbe": {"tcpSocket": {"port": PORTS.first}, "periodSeconds": 1},
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container], "topologySpreadConstraints": [spread]}
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "activator", "namespace": namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    )


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """Where two activators are ready."""
    install_kinds(cluster)
    cluster.apply(*given.account(ACCOUNT))
    made = f"activators-{uuid.uuid4().hex[:6]}"
    cluster.apply(*activators(made))
    cluster.kubectl("rollout", "status", "deployment/activator", "-n", made, "--timeout=60s")
    yield made
    cluster.kubectl("delete", "namespace", made, "--wait=false")


@pytest.fixture
def name(inside: Cluster, namespace: str) -> Iterator[str]:
    """A service with one replica; it goes at the end."""
    made = f"p{uuid.uuid4().hex[:6]}"
    inside.apply(given.inference_service(made), served_to_the_end(made), given.service(made))
    inside.kubectl("rollout", "status", f"deployment/{made}-predictor", "--timeout=60s")
    yield made
    inside.kubectl("delete", "inferenceservice", made, "--ignore-not-found", "--wait=false")
    inside.kubectl("delete", "deployment,service", f"{made}-predictor", "--ignore-not-found", "--wait=false")


def served_to_the_end(name: str) -> dict[str, object]:
    """A pod that is told to end serves on for a while, as one with a queue proxy does: kube-proxies hear of it last."""
    made = given.deployment(name)
    pod = cast(dict[str, object], inner(made, "spec", "template", "spec"))
    pod["terminationGracePeriodSeconds"] = 6  # busybox, as process 1, does not hear SIGTERM
    return made


@asynccontextmanager
async def leading(cluster: Cluster, namespace: str) -> AsyncIterator[Shown]:
    """A KubernetesCluster that leads, with the ports that these activators have."""
    kubeconfig = await asyncio.to_thread(cluster.credentials, "default", ACCOUNT)
    async with open_connection(str(kubeconfig)) as connection:
        store = SliceStore(connection, connection, namespace)
        settings, turns = ActivationSettings(ports=PORTS), WriteTurns()
        async with KubernetesCluster(
            make_copies=lambda touched: Copies(connection, touched),
            make_paths=lambda hand_back, changed: Activation(store, hand_back, changed, turns, settings),
            scaling=Scaling(connection, turns),
            events=EventRecorder(connection, "test", time.time),
        ) as opened:
            shown = Shown(opened)
            following = asyncio.create_task(shown.follow())
            try:
                yield shown
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


class Canary:
    """A new connection every 5 ms through the Service's address; who answered it, and what did not work."""

    def __init__(self, address: str) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.while_ = "before"
        self._url = f"http://{address}/"
        self._asking: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0), timeout=aiohttp.ClientTimeout(total=5)
        )

    async def fly(self) -> None:
        while True:
            asking = asyncio.create_task(self.ask())
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            await asyncio.sleep(0.005)

    async def ask(self) -> None:
        try:
            async with self._session.get(self._url) as answer:
                self.answers["held" if await answer.text() == "held" else "model"] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.failures.append(f"{self.while_}: {type(error).__name__}")

    async def land(self) -> None:
        await asyncio.gather(*self._asking)
        await self._session.close()


@asynccontextmanager
async def canary(cluster: Cluster, name: str) -> AsyncIterator[Canary]:
    found = await asyncio.to_thread(cluster.kubectl, "get", "service", f"{name}-predictor", "-o", "json")
    bird = Canary(text(inner(json.loads(found), "spec"), "clusterIP"))
    async with asyncio.timeout(60):
        while not bird.answers:  # kube-proxy hears of a new Service a moment after it was made
            await bird.ask()
    bird.failures.clear()
    flying = asyncio.create_task(bird.fly())
    try:
        yield bird
    finally:
        flying.cancel()
        await bird.land()


async def our_slice(cluster: Cluster, name: str) -> Mapping[str, object]:
    found = await asyncio.to_thread(
        cluster.kubectl, "get", "endpointslice", f"{name}-pilotlight", "-o", "json", "--ignore-not-found"
    )
    read: Mapping[str, object] = json.loads(found) if found.strip() else {}
    return read


def addresses(slice_: Mapping[str, object]) -> list[str]:
    """Those that connections are led to."""
    led = [endpoint for endpoint in objects(slice_, "endpoints") if inner(endpoint, "conditions")["ready"]]
    return [address for endpoint in led for address in texts(endpoint, "addresses")]


def in_path(view: ServiceView) -> bool:
    return view.activator_in_path


def left(view: ServiceView) -> bool:
    return view.activator_left


async def test_to_sleep_and_awake_again_under_new_connections_all_the_while(
    inside: Cluster, namespace: str, name: str
) -> None:
    mark = inside.audit.mark()
    async with leading(inside, namespace) as seen, canary(inside, name) as bird:
        view = await seen.until(name, lambda view: len(ready(view)) == 1 and view.port > 0)
        for _ in range(3):
            bird.while_ = "going in"
            await seen.cluster.put_activator(view.service, True)
            await seen.until(name, in_path, 5.0)
            bird.while_ = "going to sleep"
            await seen.cluster.scale(view.service, 0, ())
            await seen.until(name, lambda view: not view.replicas)
            bird.while_ = "asleep"
            bird.answers.clear()
            await asyncio.sleep(0.5)
            assert bird.answers["held"] > 0
            assert bird.answers["model"] == 0
            bird.while_ = "waking"
            await seen.cluster.scale(view.service, 1, ())
            await seen.until(name, lambda view: len(ready(view)) == 1)
            bird.while_ = "going out"
            await seen.cluster.put_activator(view.service, False)
            await seen.until(name, left, 10.0)
            bird.while_ = "out"
            bird.answers.clear()
            await asyncio.sleep(0.5)
            assert bird.answers["model"] > 0
            assert bird.answers["held"] == 0, "nobody is led to the activator any more"
    assert Counter(bird.failures) == {}
    assert inside.audit.forbidden(service_account("default", ACCOUNT), since=mark) == []


async def test_a_controller_that_takes_over_finds_the_port_and_the_path_and_writes_nothing(
    inside: Cluster, namespace: str, name: str
) -> None:
    async with leading(inside, namespace) as seen:
        view = await seen.until(name, lambda view: view.port > 0)
        await seen.cluster.put_activator(view.service, True)
        port = (await seen.until(name, in_path, 5.0)).port
    mark = inside.audit.mark()
    async with leading(inside, namespace) as seen:
        assert (await seen.until(name, in_path, 10.0)).port == port
        await asyncio.sleep(5)
    assert inside.audit.writes(service_account("default", ACCOUNT), since=mark) == []


async def test_a_service_that_is_switched_off_while_it_sleeps_is_handed_back_awake(
    inside: Cluster, namespace: str, name: str
) -> None:
    async with leading(inside, namespace) as seen, canary(inside, name) as bird:
        view = await seen.until(name, lambda view: view.port > 0)
        await seen.cluster.put_activator(view.service, True)
        await seen.until(name, in_path, 5.0)
        await seen.cluster.scale(view.service, 0, ())
        await seen.until(name, lambda view: not view.replicas)
        await asyncio.to_thread(
            inside.kubectl, "annotate", "inferenceservice", name, "pilotlight.dev/scaling=off", "--overwrite"
        )
        await seen.until(name, lambda view: len(ready(view)) == 1)
        async with asyncio.timeout(60):
            while await our_slice(inside, name):
                await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        bird.answers.clear()
        await asyncio.sleep(0.5)
        assert bird.answers["model"] > 0
        assert bird.answers["held"] == 0
    assert Counter(bird.failures) == {}


async def test_a_service_that_is_made_anew_gets_its_slice_and_its_port_again(
    inside: Cluster, namespace: str, name: str
) -> None:
    async with leading(inside, namespace) as seen:
        view = await seen.until(name, lambda view: view.port > 0)
        await seen.cluster.put_activator(view.service, True)
        port = (await seen.until(name, in_path, 5.0)).port
        await asyncio.to_thread(inside.kubectl, "delete", "service", f"{name}-predictor")
        await asyncio.to_thread(inside.apply, given.service(name))
        made = json.loads(await asyncio.to_thread(inside.kubectl, "get", "service", f"{name}-predictor", "-o", "json"))
        async with asyncio.timeout(60):
            # Kubernetes collects what the old Service owned some time later; until then both must go well.
            settled_since: float | None = None
            while settled_since is None or time.monotonic() - settled_since < 3.0:
                slice_ = await our_slice(inside, name)
                owners = [text(owner, "uid") for owner in objects(inner(slice_, "metadata"), "ownerReferences")]
                if owners != [made["metadata"]["uid"]] or len(addresses(slice_)) != 2:
                    settled_since = None
                elif settled_since is None:
                    settled_since = time.monotonic()
                await asyncio.sleep(0.1)
        assert (await seen.until(name, in_path, 5.0)).port == port


async def test_an_activator_that_dies_is_taken_out_within_seconds(inside: Cluster, namespace: str, name: str) -> None:
    async with leading(inside, namespace) as seen:
        view = await seen.until(name, lambda view: view.port > 0)
        await seen.cluster.put_activator(view.service, True)
        await seen.until(name, in_path, 5.0)
        before = addresses(await our_slice(inside, name))
        listed = json.loads(await asyncio.to_thread(inside.kubectl, "get", "pods", "-n", namespace, "-o", "json"))
        pod = listed["items"][0]
        address = pod["status"]["podIP"]
        assert address in before
        # It goes as when it runs out of memory: nobody tells Kubernetes before.
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session:
                await session.get(f"http://{address}:{PORTS.first}/die")
        killed = time.monotonic()
        async with asyncio.timeout(60):
            while address in addresses(await our_slice(inside, name)):
                await asyncio.sleep(0.05)
        took = time.monotonic() - killed
        print(f"\ntaken out of the slice {took:.2f} s after it died")
        assert took < 4.0
        assert seen.views[view.service].activator_in_path, "the other one is still there"
