"""Several real activators before real queue proxies, and the exact ideal that their waits are held against.

Beside them runs a reference, because a machine that is busy with other things stalls what is measured here: one more
queue proxy and model, asked directly every few milliseconds and by nobody else, and in the same rhythm every process
of the experiment is asked whether it lives. What these take is what the machine makes of one hop at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from activator.messages import Endpoint, EndpointState
from tests.integration.activator.activator_harness import Activator, Controller, activator_for
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Handler,
    Model,
    Proxy,
    ok,
    proxy_before,
    read_reply,
    request,
    request_bytes,
)

_REFERENCE_EVERY = 0.02
_AROUND = 0.1


@dataclass
class Job:
    """One request: through which activator and when (seconds from the start), how long it takes, and what became of it:
    when it was sent, when the model had it and was done with it (monotonic seconds), and which replica that was."""

    at: float
    through: int
    seconds: float
    sent: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    replica: int = -1
    status: int = 0

    @property
    def wait(self) -> float:
        return self.started - self.sent


@dataclass
class Reference:
    """When each lone request was sent and how long it took to the model; `lives` are the answers of the processes."""

    hops: list[tuple[float, float]] = field(default_factory=list)
    lives: list[tuple[float, float]] = field(default_factory=list)
    sent: float = 0.0

    def mean(self) -> float:
        return sum(hop for _, hop in self.hops) / len(self.hops)

    def longest_around(self, began: float, ended: float) -> float:
        """The longest of both that was under way at any time from `_AROUND` before `began` to as long after `ended`."""
        both = (*self.hops, *self.lives)
        return max((hop for at, hop in both if began - _AROUND < at + hop and at < ended + _AROUND), default=0.0)


@dataclass
class SharedWorld:
    """What runs."""

    activators: list[Activator]
    proxies: list[Proxy]
    models: list[Model]
    controller: Controller
    endpoints: list[Endpoint]
    reference: Reference
    reference_port: int = 0
    jobs: list[Job] = field(default_factory=list)

    async def run(self, jobs: Sequence[Job]) -> None:
        """Send all of them, each at its time, and wait for all answers."""
        self.jobs = list(jobs)
        self.reference.hops.clear()
        self.reference.lives.clear()
        referring = [asyncio.create_task(self._refer())]
        for port in [*(a.admin for a in self.activators), *(p.admin for p in self.proxies)]:
            referring.append(asyncio.create_task(self._ask_whether_it_lives(port)))
        began = time.monotonic() + 0.05
        try:
            async with asyncio.TaskGroup() as group:
                for number, job in enumerate(self.jobs):
                    await asyncio.sleep(max(0.0, began + job.at - time.monotonic()))
                    group.create_task(self.send(number))
        finally:
            for task in referring:
                task.cancel()
            await asyncio.gather(*referring, return_exceptions=True)

    async def send(self, number: int) -> None:
        """Send one of the jobs now."""
        job = self.jobs[number]
        job.sent = time.monotonic()
        reply = await self.activators[job.through].get(f"/v1/jobs/{number}")
        job.status = reply.status

    async def until_shared(self) -> None:
        """Until every queue proxy knows every activator."""
        async with asyncio.timeout(20):
            for proxy in self.proxies:
                while (await proxy.metric("slot_activators")) != len(self.activators):
                    await asyncio.sleep(0.01)

    async def _refer(self) -> None:
        while True:
            self.reference.sent = time.monotonic()
            await request(self.reference_port)
            await asyncio.sleep(_REFERENCE_EVERY)

    async def _ask_whether_it_lives(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                sent = time.monotonic()
                writer.write(request_bytes("/healthz"))
                await read_reply(reader)
                self.reference.lives.append((sent, time.monotonic() - sent))
                await asyncio.sleep(_REFERENCE_EVERY)
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def shared_world(tmp_path: Path, activators: int, replicas: int, limit: int = 1) -> AsyncIterator[SharedWorld]:
    """Everything started, ready and connected."""
    async with contextlib.AsyncExitStack() as stack:

        async def replica(handle: Handler, *flags: str) -> tuple[Model, Proxy]:
            model = Model(handle)
            await model.start()
            stack.push_async_callback(model.stop)
            proxy = await stack.enter_async_context(proxy_before(model.port, *flags))
            await proxy.until_ready()
            return model, proxy

        controller = Controller(tmp_path / "control.sock")
        await controller.start()
        stack.push_async_callback(controller.stop)
        world = SharedWorld([], [], [], controller, [], Reference())
        _, lone = await replica(_reference_of(world))
        world.reference_port = lone.port
        for number in range(replicas):
            model, proxy = await replica(_model_of(world, number), "--limit", str(limit))
            world.models.append(model)
            world.proxies.append(proxy)
            address = (f"chat-{number}", "127.0.0.1", proxy.port, proxy.admin)
            world.endpoints.append(Endpoint(*address, EndpointState.READY))
        for number in range(activators):
            activator = await stack.enter_async_context(activator_for(controller.path, "--name", f"a{number}"))
            world.activators.append(activator)
        await controller.route(*world.endpoints, capacity=limit)
        await world.until_shared()
        yield world


def _model_of(world: SharedWorld, replica: int) -> Handler:
    async def serve(call: Call) -> bytes:
        job = world.jobs[int(call.path.rpartition(b"/")[2])]
        job.replica = replica
        job.started = time.monotonic()
        await asyncio.sleep(job.seconds)
        job.ended = time.monotonic()
        return ok()

    return serve


def _reference_of(world: SharedWorld) -> Handler:
    async def serve(call: Call) -> bytes:
        reference = world.reference
        reference.hops.append((reference.sent, time.monotonic() - reference.sent))
        return ok()

    return serve


def ideal_waits(jobs: Sequence[Job], servers: int) -> list[float]:
    """Waits of the same arrivals with the same service times (both as measured) in one central queue, first come first
    served, with no time lost between an end and the next start. For this sequence nothing that serves in order of
    arrival does better."""
    free = [0.0] * servers
    waits = []
    for job in sorted(jobs, key=lambda job: job.sent):
        start = max(job.sent, heapq.heappop(free))
        heapq.heappush(free, start + job.ended - job.started)
        waits.append(start - job.sent)
    return waits


@dataclass(frozen=True)
class IdleStretch:
    """One replica had nothing while one request waited: when, for how long, and how long a hop took then at worst."""

    replica: int
    began: float
    seconds: float
    hop: float


def idle_while_waiting(world: SharedWorld, at_least: float) -> list[IdleStretch]:
    """Every such stretch of `at_least` seconds."""
    stretches = []
    for replica in range(len(world.proxies)):
        mine = sorted((job for job in world.jobs if job.replica == replica), key=lambda job: job.started)
        for before, after in pairwise(mine):
            began, ended = before.ended, after.started
            if ended - began < at_least:
                continue
            both = max((min(job.started, ended) - max(job.sent, began) for job in world.jobs), default=0.0)
            if both >= at_least:
                stretches.append(IdleStretch(replica, began, both, world.reference.longest_around(began, ended)))
    return stretches


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
