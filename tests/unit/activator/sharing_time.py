"""The sharing model with a clock: messages take a hop each, requests come and end at their times, time is virtual.

On real processes a machine that is busy with other things idles replicas as well as any mistake of ours would. Here
nothing takes time but what the order of things makes it take, so what is lost can be held against a bound.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from activator.lines import Band
from tests.unit.activator.sharing_model import Request, SharingModel


@dataclass
class Job:
    """One request: through which activator it comes and when, how long it takes, and when and where it ran."""

    at: float
    through: int
    seconds: float
    started: float = -1.0
    replica: int = -1

    @property
    def wait(self) -> float:
        return self.started - self.at

    @property
    def ended(self) -> float:
        return self.started + self.seconds


def poisson_jobs(number: int, seed: int, shares: Sequence[int], servers: int, load: float, mean: float) -> list[Job]:
    """Poisson arrivals spread over activators by `shares`, exponential service times of that `mean`."""
    chance = random.Random(seed)
    jobs, at = [], 0.0
    for _ in range(number):
        at += chance.expovariate(load * servers / mean)
        (through,) = chance.choices(range(len(shares)), shares)
        jobs.append(Job(at, through, chance.expovariate(1 / mean)))
    return jobs


class TimedSharing:
    """Plays jobs on a sharing model whose messages take `hop` seconds each."""

    def __init__(self, world: SharingModel, hop: float) -> None:
        self.world = world
        self._hop = hop
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        # What is on its way already, by the queue that it lies in.
        self._posted: Counter[int] = Counter()
        self._jobs: dict[int, Job] = {}

    def play(self, jobs: Sequence[Job]) -> None:
        """From the first arrival until the last has ended."""
        self.world.settle()
        epoch = self.world.clock.now
        for job in jobs:
            self._at(epoch + job.at, partial(self._arrive, job))
        while self._events:
            self.world.clock.now, _, happen = heapq.heappop(self._events)
            happen()
            self._look(epoch)

    def _at(self, when: float, happen: Callable[[], object]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    def _arrive(self, job: Job) -> None:
        activator = self.world.activators[job.through]
        request = Request(len(self.world.requests), Band.NORMAL, self.world.clock.now, activator)
        self.world.requests.append(request)
        self._jobs[request.number] = job
        activator.request(request)

    def _look(self, epoch: float) -> None:
        """Whatever the last event has brought gets its time."""
        world, now = self.world, self.world.clock.now
        for activator in world.activators:
            timers, activator.timers.due = activator.timers.due, []
            for handle in timers:
                self._at(max(now, handle.when()), partial(_ring, handle))
            self._post(activator.under_way, partial(world.deliver_request, activator, 0))
            for wire in activator.wires.values():
                self._post(wire.up, partial(world.deliver_up, wire))
                self._post(wire.down, partial(world.deliver_down, wire))
        for proxy in world.proxies:
            for ticket in proxy.running:
                job = self._jobs[ticket.request.number]
                if job.replica < 0:
                    job.started, job.replica = now - epoch, proxy.number
                    self._at(now + job.seconds, partial(proxy.finish, ticket))

    def _post(self, queue: Sequence[object], deliver: Callable[[], object]) -> None:
        key = id(queue)

        def arrive() -> None:
            self._posted[key] -= 1
            deliver()

        while self._posted[key] < len(queue):
            self._posted[key] += 1
            self._at(self.world.clock.now + self._hop, arrive)


def _ring(handle: asyncio.TimerHandle) -> None:
    if not handle.cancelled():
        handle._run()


def ideal_waits(jobs: Iterable[tuple[float, float]], servers: int) -> list[float]:
    """Waits of jobs (when each comes, and how long it takes) in one central queue, first come first served, that loses
    no time between an end and the next start. For this sequence nothing that serves in order of arrival does better."""
    free = [0.0] * servers
    waits = []
    for at, seconds in sorted(jobs):
        start = max(at, heapq.heappop(free))
        heapq.heappush(free, start + seconds)
        waits.append(start - at)
    return waits


def quantile(values: Iterable[float], share: float) -> float:
    """The value that this share of them is below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def longest_idle_while_waiting(jobs: Sequence[Job], replicas: int) -> float:
    """The longest time in which one replica of limit 1 had nothing while one and the same request waited."""
    longest = 0.0
    for replica in range(replicas):
        mine = sorted((job for job in jobs if job.replica == replica), key=lambda job: job.started)
        ends = [0.0, *(job.ended for job in mine)]
        begins = [*(job.started for job in mine), max(job.started for job in jobs)]
        for began, ended in zip(ends, begins, strict=True):
            both = (min(job.started, ended) - max(job.at, began) for job in jobs)
            longest = max(longest, max(both))
    return longest
