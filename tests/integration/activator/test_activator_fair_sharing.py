"""Several activators before the same replicas: nobody waits while a replica is free, and who came first goes first."""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.activator.sharing_world import Job, ideal_waits, idle_while_waiting, quantile, shared_world
from tests.integration.queue_proxy.queue_proxy_harness import request

ACTIVATORS, REPLICAS = 3, 8
LOAD = 0.8
MEAN_SERVICE_SECONDS = 0.2
UNEVENLY = (6, 3, 1)

# From a replica's end to its next start: the grant to the activator, the request to the queue proxy, and on to the
# model; for a slot that another keeps two more, to call it back. A lone request of the reference has two: to the queue
# proxy and on. So this many times what it takes is what the machine, and not the order of things, costs.
HOPS = 3


def poisson_jobs(number: int, seed: int) -> list[Job]:
    """Poisson arrivals spread unevenly over the activators, exponential service times."""
    chance = random.Random(seed)
    rate = LOAD * REPLICAS / MEAN_SERVICE_SECONDS
    jobs, at = [], 0.0
    for _ in range(number):
        at += chance.expovariate(rate)
        (through,) = chance.choices(range(ACTIVATORS), UNEVENLY)
        jobs.append(Job(at, through, chance.expovariate(1 / MEAN_SERVICE_SECONDS)))
    return jobs


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_three_activators_and_eight_replicas_wait_as_in_one_ideal_queue(tmp_path: Path) -> None:
    async with shared_world(tmp_path, ACTIVATORS, REPLICAS) as world:
        await world.run(poisson_jobs(3_000, seed=7))
        jobs = world.jobs
        assert Counter(job.status for job in jobs) == {200: 3_000}
        assert [model.most_running for model in world.models] == [1] * REPLICAS
        ideal, ours = ideal_waits(jobs, REPLICAS), [job.wait for job in jobs]
        hop = HOPS * world.reference.mean()
        idle = idle_while_waiting(world, 0.005)
        beyond = [stretch for stretch in idle if stretch.seconds >= 0.005 + HOPS * stretch.hop]
        print(f"\n{len(jobs)} requests, {ACTIVATORS} activators, {REPLICAS} replicas, load {LOAD}")
        print(f"hops alone, measured beside it: {1e3 * hop:.2f} ms")
        for share in (0.5, 0.9, 0.95, 0.99):
            mine, best = 1e3 * quantile(ours, share), 1e3 * quantile(ideal, share)
            print(f"p{100 * share:.0f} wait: {mine:.1f} ms, ideal {best:.1f} ms")
        print(f"mean wait: {1e3 * statistics.mean(ours):.1f} ms, ideal {1e3 * statistics.mean(ideal):.1f} ms")
        print(
            f"replica idle and request waiting for 5 ms: {len(idle)} times; beyond what hops took then: {len(beyond)}"
        )
        assert quantile(ours, 0.95) <= 1.10 * quantile(ideal, 0.95) + hop
        assert beyond == []


async def test_whoever_came_first_goes_first_whichever_activator_has_it(tmp_path: Path) -> None:
    async with shared_world(tmp_path, ACTIVATORS, 2) as world:
        # The first two take the replicas, for a time and half of it; the others come 50 ms apart and wait.
        first = [Job(0.0, 0, 1.6), Job(0.01, 0, 3.2)]
        await world.run([*first, *(Job(0.1 + 0.05 * n, n % ACTIVATORS, 0.05) for n in range(20))])
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
        assert max(job.wait for job in world.jobs[4:]) < 2.5


async def test_requests_that_come_directly_keep_the_limit_and_have_their_turn(tmp_path: Path) -> None:
    async with shared_world(tmp_path, 2, 2) as world:
        world.jobs = [Job(0, n % 2, 0.02) for n in range(60)]

        async def directly(number: int) -> None:
            reply = await request(world.proxies[number % 2].port, f"/v1/jobs/{number}")
            world.jobs[number].status = reply.status

        await asyncio.gather(*(world.send(n) for n in range(40)), *(directly(n) for n in range(40, 60)))
        assert all(job.status == 200 for job in world.jobs)
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
