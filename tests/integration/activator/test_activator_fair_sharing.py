"""Several activators before the same replicas: limits are kept, nobody is lost, and who came first goes first."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.activator.sharing_world import Job, shared_world
from tests.integration.queue_proxy.queue_proxy_harness import request

ACTIVATORS, REPLICAS = 3, 8


async def test_three_activators_never_pass_the_limit_of_eight_replicas_and_lose_nobody(tmp_path: Path) -> None:
    """How long they wait is a matter of virtual time (`test_activator_sharing_time`) and of `benchmarks.sharing`: what
    a machine that is busy with other things idles here is not ours."""
    async with shared_world(tmp_path, ACTIVATORS, REPLICAS) as world:
        await world.run([Job(at=0.002 * n, through=min(2, n % 5), seconds=0.01 * (n % 7)) for n in range(500)])
        assert Counter(job.status for job in world.jobs) == {200: 500}
        assert [model.most_running for model in world.models] == [1] * REPLICAS


async def test_whoever_came_first_goes_first_whichever_activator_has_it(tmp_path: Path) -> None:
    async with shared_world(tmp_path, ACTIVATORS, 2) as world:
        # The first two take the replicas; the others wait, so far apart that a busy machine does not turn them round.
        first = [Job(0.0, 0, 2.7), Job(0.01, 0, 3.0)]
        await world.run([*first, *(Job(0.1 + 0.3 * n, n % ACTIVATORS, 0.05) for n in range(8))])
        assert all(job.status == 200 for job in world.jobs)
        by_start = sorted(world.jobs[2:], key=lambda job: job.started)
        assert [job.sent for job in by_start] == sorted(job.sent for job in world.jobs[2:])


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "stuck"])
async def test_slots_of_an_activator_that_is_gone_serve_the_others(tmp_path: Path, blow: signal.Signals) -> None:
    async with shared_world(tmp_path, 3, 4) as world:
        # It had all of them last, so they lie with it.
        world.jobs = [Job(0, 0, 0.05) for _ in range(4)] + [Job(0, 1 + n % 2, 0.05) for n in range(40)]
        await asyncio.gather(*(world.send(number) for number in range(4)))
        world.activators[0].process.send_signal(blow)
        await asyncio.gather(*(world.send(number) for number in range(4, 44)))
        assert all(job.status == 200 for job in world.jobs)
        served = Counter(job.replica for job in world.jobs[4:])
        assert set(served) == {0, 1, 2, 3}


async def test_a_burst_of_which_a_third_comes_directly_to_one_replica_loses_nobody(tmp_path: Path) -> None:
    """As kube-proxy spreads it over two activators and the only pod there is; a second one joins in the activators."""
    async with shared_world(tmp_path, 2, 2) as world:
        world.jobs = [Job(0, 0, 0.002) for n in range(500)]

        async def directly(number: int) -> None:
            reply = await request(world.proxies[0].port, f"/v1/jobs/{number}")
            world.jobs[number].status = reply.status

        for number, job in enumerate(world.jobs):
            job.through = number % 3
        await asyncio.gather(*(world.send(n) if n % 3 < 2 else directly(n) for n in range(500)))
        assert Counter(job.status for job in world.jobs) == {200: 500}
        assert [model.most_running for model in world.models] == [1, 1]


async def test_an_activator_that_is_alone_again_counts_for_itself(tmp_path: Path) -> None:
    async with shared_world(tmp_path, 2, 2) as world:
        world.jobs = [Job(0, n % 2, 0.01) for n in range(40)]
        await asyncio.gather(*(world.send(number) for number in range(20)))
        world.activators[1].process.kill()
        world.activators.pop()
        await world.until_shared()
        for job in world.jobs[20:]:
            job.through = 0
        await asyncio.gather(*(world.send(number) for number in range(20, 40)))
        assert all(job.status == 200 for job in world.jobs)
        assert [await proxy.metric("slots_granted") for proxy in world.proxies] == [0, 0]
