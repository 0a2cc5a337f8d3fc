"""KServe's reconciles and ours: each leaves the other's work alone, and at rest nobody writes anything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from autoscaler.policy.profiles import CONFIG_MAP
from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ClusterError
from tests.kubernetes import kserve_side
from tests.kubernetes.installation import ACTIVATOR, CONTROLLER, NAMESPACE, WEBHOOK, Installation
from tests.kubernetes.managed_service import QUICK, ManagedService, inference_service

_LOADS = 10.0  # seconds
_REST = 12.0  # seconds without anything happening


async def edit(service: ManagedService, predictor: dict[str, object]) -> None:
    """Change some of an InferenceService's predictor."""
    patch = json.dumps({"spec": {"predictor": predictor}})
    await service.kubectl("patch", "inferenceservice", service.name, "--type=merge", "-p", patch)


async def annotate(service: ManagedService, annotation: str) -> None:
    await service.kubectl("annotate", "inferenceservice", service.name, "--overwrite", annotation)


async def policy(service: ManagedService) -> dict[str, Any]:
    """What the controller says of it."""
    said = await asyncio.to_thread(service.installed.explain, f"default/{service.name}")
    return dict(said["policy"])


async def generation(service: ManagedService) -> int:
    """The Deployment's: grows with each change of its spec, replicas included."""
    found = await service.deployment()
    return -1 if found is None else int(found["metadata"]["generation"])


async def reconciled(service: ManagedService) -> None:
    """A label on an InferenceService reaches its pods' template, so KServe writes the Deployment anew."""
    before = await generation(service)
    await service.kubectl("label", "inferenceservice", service.name, "--overwrite", f"round=r{before}")

    async def written() -> bool:
        return await generation(service) > before

    await service.until(written, "KServe to write its Deployment", 15)


async def test_zero_sticks_and_our_slice_stays_whatever_kserve_writes(inside: Cluster, installed: Installation) -> None:
    async with ManagedService(installed, inference_service("kept-asleep"), keep=True) as service:
        await service.awake_once()
        await service.at_rest()
        before = [one for one in await service.slices() if one["metadata"]["name"] == "kept-asleep-pilotlight"]
        for _ in range(3):
            await reconciled(service)
            await asyncio.sleep(0.5)
            assert await service.wanted() == 0
        after = [one for one in await service.slices() if one["metadata"]["name"] == "kept-asleep-pilotlight"]
        assert [one["metadata"]["uid"] for one in after] == [one["metadata"]["uid"] for one in before] != []
        assert after[0]["endpoints"], "the activator is in the path of a service that sleeps"


async def test_a_number_of_replicas_survives_what_kserve_writes(inside: Cluster, installed: Installation) -> None:
    body = inference_service("kept-awake", predictor={"minReplicas": 2})
    async with ManagedService(installed, body) as service:
        await service.awake(2)
        mark = inside.audit.mark()
        await reconciled(service)
        assert await service.wanted() == 2
        orders = [event for event in installed.writes(CONTROLLER, mark) if event.resource == "deployments/scale"]
        assert orders == [], "nobody has to repair what nobody has broken"


async def test_in_shadow_it_is_decided_and_kserves_own_autoscaler_goes_on(
    inside: Cluster, installed: Installation
) -> None:
    body = inference_service("shadowed", policy={**QUICK, "scaling": "shadow"})
    del body["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"]  # type: ignore[index]
    async with ManagedService(installed, body) as service:
        await service.awake(1)

        async def decided() -> bool:
            said = await asyncio.to_thread(installed.explain, "default/shadowed")
            assert said["refused"] == []
            return any(decision["desired"] == 0 for decision in said["decisions"])

        await service.until(decided, "what it would have been put to sleep by", 30)
        assert "shadowed-predictor" in await service.kubectl("get", "horizontalpodautoscalers", "-o", "name")
        await asyncio.sleep(1.0)
        assert await service.wanted() == 1


async def test_editing_a_policy_restarts_no_pod(inside: Cluster, installed: Installation) -> None:
    async with ManagedService(installed, inference_service("edited", predictor={"minReplicas": 1})) as service:
        await service.awake(1)
        before = {pod["metadata"]["uid"] for pod in await service.pods()}
        deployment = await generation(service)
        await edit(service, {"maxReplicas": 5, "containerConcurrency": 7, "timeout": 120, "scaleTarget": 3})
        await annotate(service, "pilotlight.dev/stable-window=9s")
        await annotate(service, "pilotlight.dev/target-burst-capacity=0")

        async def in_force() -> bool:
            return '"stable_window_seconds": 9' in json.dumps((await policy(service))["in_force"])

        await service.until(in_force, "the edited policy", 20)
        await edit_its_profile(service)
        await asyncio.sleep(1.0)
        assert {pod["metadata"]["uid"] for pod in await service.pods()} == before
        assert await generation(service) == deployment


async def edit_its_profile(service: ManagedService) -> None:
    """What the profile says counts; one that cannot be read, and one that is gone, leave what it said before."""

    async def write(retention: str) -> None:
        metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE}
        data = {"batch": f"scale-to-zero-retention: {retention}"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        await service.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    async def taken() -> bool:
        try:
            await annotate(service, "pilotlight.dev/profile=batch")
        except ClusterError:
            return False  # this webhook has not seen the profile yet
        return True

    async def shown(retention: float, mistake: str) -> None:
        async def so() -> bool:
            said = await policy(service)
            found = f'"scale_to_zero_retention_seconds": {retention}' in json.dumps(said["in_force"])
            return found and (mistake in str(said["mistakes"]) if mistake else not said["mistakes"])

        await service.until(so, f"a retention of {retention} s and {mistake or 'no mistake'}", 20)

    await write("3m")
    try:
        await service.until(taken, "the webhook to see the profile", 20)
        await shown(180.0, "")
        await write("4m")
        await shown(240.0, "")
        await write("long")
        await shown(240.0, "long")
    finally:
        await service.kubectl("delete", "configmap", CONFIG_MAP, "-n", NAMESPACE)
    await shown(240.0, "not there any more")
    told = await service.kubectl("get", "events", "--field-selector", f"involvedObject.name={service.name}")
    assert "PolicyNotReadable" in told


async def test_at_rest_nobody_writes_anything_but_the_lease(inside: Cluster, installed: Installation) -> None:
    async with ManagedService(installed, inference_service("kept-asleep"), keep=True) as service:
        await service.awake_once()
        await service.at_rest()
        await asyncio.sleep(2.0)
        mark = inside.audit.mark()
        await asyncio.sleep(_REST)
        ours = [CONTROLLER, ACTIVATOR, WEBHOOK]
        users = [kserve_side.USER, *(service_account(NAMESPACE, name) for name in ours)]
        written = [event for user in users for event in inside.audit.writes(user, mark)]
        # Of services of other tests what is left goes in these seconds.
        other = [event for event in written if event.resource != "leases" and event.verb != "delete"]
        renewals = sum(event.resource == "leases" for event in written) * 60 / _REST
        print(f"\nwrites per minute at rest: {renewals:.0f} of the Lease, {len(other)} others")
        assert other == []


@pytest.mark.parametrize("kind", ["deployment", "service"])
async def test_what_kserve_makes_anew_is_led_and_scaled_again(
    inside: Cluster, installed: Installation, kind: str
) -> None:
    async with ManagedService(installed, inference_service("kept-asleep"), keep=True) as service:
        await service.awake_once()
        await service.at_rest()
        await service.kubectl("delete", kind, "kept-asleep-predictor", "--wait=true")

        async def led() -> bool:
            ours = [one for one in await service.slices() if one["metadata"]["name"] == "kept-asleep-pilotlight"]
            return await service.wanted() >= 0 and any(one["endpoints"] for one in ours)

        await service.until(led, f"its {kind} to be made anew and led", 20)
        await service.at_rest()


async def test_one_that_is_asleep_at_first_loads_nothing_and_is_handed_back_awake_when_it_is_switched_off(
    inside: Cluster, installed: Installation
) -> None:
    loads = f"--load-seconds={_LOADS}"
    body = inference_service("handed-back", policy={**QUICK, "initial-scale": "0"}, arguments=[loads])
    async with ManagedService(installed, body) as service:
        slept = await service.asleep(_LOADS + 20.0)
        notes = [one["metadata"].get("annotations", {}) for one in await service.slices()]
        assert not any("pilotlight.dev/ready-generation" in note for note in notes), "what KServe starts is not awaited"
        print(f"\nasleep after {slept:.1f} s, before its model was loaded")
        await annotate(service, "pilotlight.dev/scaling=off")
        woken = await service.awake(1)

        async def ours_are_gone() -> bool:
            return all(not one["metadata"]["name"].endswith("-pilotlight") for one in await service.slices())

        left = await service.until(ours_are_gone, "our slice to go", 30)
        print(f"\nhanded back: awake after {woken:.1f} s, our slice gone {left:.1f} s later")
        assert await service.wanted() == 1
