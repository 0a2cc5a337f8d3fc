"""Several real activators before real queue proxies and models that note who ran when."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activator.messages import Endpoint, EndpointState
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.serving.queue_proxy_flags import policy_flags
from tests.integration.activator.activator_harness import Activator, Controller, activator_for
from tests.integration.queue_proxy.queue_proxy_harness import (
    Call,
    Handler,
    Model,
    Proxy,
    ok,
    proxy_before,
)


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
class SharedWorld:
    """What runs."""

    activators: list[Activator]
    proxies: list[Proxy]
    models: list[Model]
    controller: Controller
    endpoints: list[Endpoint]
    jobs: list[Job] = field(default_factory=list)

    async def run(self, jobs: Sequence[Job]) -> None:
        """Send all of them, each at its time, and wait for all answers."""
        self.jobs = list(jobs)
        began = time.monotonic() + 0.05
        async with asyncio.TaskGroup() as group:
            for number, job in enumerate(self.jobs):
                await asyncio.sleep(max(0.0, began + job.at - time.monotonic()))
                group.create_task(self.send(number))

    async def send(self, number: int) -> None:
        """Send one of the jobs now."""
        job = self.jobs[number]
        job.sent = time.monotonic()
        reply = await self.activators[job.through].get(f"/v1/jobs/{number}")
        job.status = reply.status

    async def until_shared(self) -> None:
        """Until every queue proxy knows every activator."""
        async with asyncio.timeout(60):
            for proxy in self.proxies:
                while (await proxy.metric("slot_activators")) != len(self.activators):
                    await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def shared_world(tmp_path: Path, activators: int, replicas: int, limit: int = 1) -> AsyncIterator[SharedWorld]:
    """Everything started, ready and connected."""
    async with contextlib.AsyncExitStack() as stack:
        controller = Controller(tmp_path / "control.sock")
        await controller.start()
        stack.push_async_callback(controller.stop)
        world = SharedWorld([], [], [], controller, [])
        for number in range(replicas):
            model = Model(_model_of(world, number))
            await model.start()
            stack.push_async_callback(model.stop)
            flags = policy_flags(ScalingPolicy(container_concurrency=limit), 30.0)
            proxy = await stack.enter_async_context(proxy_before(model.port, *flags))
            await proxy.until_ready()
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
