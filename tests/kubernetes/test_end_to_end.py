"""From annotation to zero and back: everything in its container, installed by the manifests, asked by its Service."""

from __future__ import annotations

import asyncio
import json
import re
import tarfile
from pathlib import Path

import aiohttp

from tests.cluster.cluster import Cluster
from tests.cluster.product_image import product_image
from tests.kubernetes.installation import CONTROLLER, NAMESPACE, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service
from tests.kubernetes.requests_sent import Outcome, burst, lost, took

REPOSITORY = Path(__file__).parents[2]
BURST = 500
KUBE_PROXY_SECONDS = 1.5
"""Until each has followed; before that nobody comes directly."""
MODEL = ("--service-seconds=0.05", "--slots=4", "--load-seconds=0.3")

_WITHOUT_COMPILED_FILE = """
import importlib, json, pathlib, sys
for component in "queue_proxy.proxy", "activator.activator", "autoscaler.controller.process", "pilotlight.entry":
    importlib.import_module(component)
specs = [module.__spec__ for module in sys.modules.values() if getattr(module, "__spec__", None)]
files = [(spec.origin, spec.cached) for spec in specs if spec.has_location and spec.cached]
print(json.dumps([source for source, compiled in files if not pathlib.Path(compiled).exists()]))
"""


async def test_a_new_service_is_not_put_to_sleep_before_its_first_pod_was_ready(
    inside: Cluster, installed: Installation
) -> None:
    async with ManagedService(installed, inference_service("fresh", arguments=("--load-seconds=3",))) as service:
        await service.awake(1)
        slept = await service.asleep()
        print(f"\nasleep {slept:.1f} s after it was ready")


async def test_500_requests_at_once_at_a_service_that_is_up_wait_where_they_came_and_none_is_lost(
    inside: Cluster, installed: Installation
) -> None:
    """Kube-proxy leads a third of them past the two activators, to the only pod that there is."""
    alone = {"minReplicas": 1, "maxReplicas": 1, "containerConcurrency": 1}
    body = inference_service("up", predictor=alone, arguments=("--service-seconds=0.01", "--slots=1"))
    async with ManagedService(installed, body) as service:
        await service.awake(1)
        await asyncio.sleep(KUBE_PROXY_SECONDS)
        (pod,) = await service.pods()
        sending = asyncio.create_task(burst(service.infer, BURST))
        most = await most_waiting(pod["status"]["podIP"], sending)
        outcomes = await sending
        print(f"\n{BURST} at once at one replica that is up: {took(outcomes)}; at the pod itself waited {most}")
        assert lost(outcomes) == {}
        assert most > 10, "some came directly, and more than would have waited under Knative's semantics"


async def test_nothing_is_compiled_when_a_component_starts(inside: Cluster, installed: Installation) -> None:
    """On a read-only root that would be so at each start: it made the start of each sidecar four times as long."""
    sources = installed.cluster.kubectl(
        "exec", f"--namespace={NAMESPACE}", f"deployment/{CONTROLLER}", "--", "python", "-c", _WITHOUT_COMPILED_FILE
    )
    assert json.loads(sources) == []


def test_what_decides_is_native_code(installed: Installation) -> None:
    where = "import autoscaler.decide.decider as made; print(made.__file__)"
    file = installed.cluster.kubectl(
        "exec", f"--namespace={NAMESPACE}", f"deployment/{CONTROLLER}", "--", "python", "-c", where
    )
    assert file.strip().endswith(".so")


def test_the_image_adds_to_its_base_no_more_than_it_is_said_to(installed: Installation) -> None:
    with tarfile.open(product_image()) as archive:
        written = archive.extractfile("manifest.json")
        assert written is not None
        _, *ours = json.load(written)[0]["Layers"]
        megabytes = sum(archive.getmember(layer).size for layer in ours) / 1e6
    said = re.search(r"adds (\d+) MB to its base", (REPOSITORY / "docs/kubernetes.md").read_text())
    assert said is not None
    print(f"\nthe image adds {megabytes:.0f} MB to its base")
    assert megabytes < int(said[1]) * 1.1


async def most_waiting(pod: str, meanwhile: asyncio.Task[list[Outcome]]) -> int:
    """The most that were seen in that pod's own line before it was done."""
    most = 0
    async with aiohttp.ClientSession() as session:
        while not meanwhile.done():
            async with session.get(f"http://{pod}:8022/stats") as answer:
                most = max(most, (await answer.json())["waiting"])
            await asyncio.sleep(0.05)
    return most


async def test_500_requests_at_once_wake_a_service_that_sleeps_three_times_and_none_is_lost(
    inside: Cluster, installed: Installation
) -> None:
    async with ManagedService(installed, inference_service("burst", arguments=MODEL)) as service:
        await service.awake_once()
        await service.at_rest()
        for number in range(3):
            outcomes = await burst(service.infer, BURST)
            most = max(one["desired"] for one in installed.explain("default/burst")["decisions"])
            assert lost(outcomes) == {}
            assert most > 1, "so many requests are worth more than one replica"
            slept = await service.at_rest()
            print(f"\n{BURST} at once, {number + 1}: {took(outcomes)}; {most} replicas; at rest {slept:.1f} s later")
