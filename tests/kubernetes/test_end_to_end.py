"""From annotation to zero and back: everything in its container, installed by the manifests, asked by its Service."""

from __future__ import annotations

from tests.cluster.cluster import Cluster
from tests.kubernetes.installation import Installation
from tests.kubernetes.managed_service import ManagedService, inference_service
from tests.kubernetes.requests_sent import burst, lost, took

BURST = 500
MODEL = ("--service-seconds=0.05", "--slots=4", "--load-seconds=0.3")


async def test_a_new_service_is_not_put_to_sleep_before_its_first_pod_was_ready(
    inside: Cluster, installed: Installation
) -> None:
    async with ManagedService(installed, inference_service("fresh", arguments=("--load-seconds=3",))) as service:
        await service.awake(1)
        slept = await service.asleep()
        print(f"\nasleep {slept:.1f} s after it was ready")


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
