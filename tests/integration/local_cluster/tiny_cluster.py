"""A local cluster of tiny models for the tests, in this process or in one of its own that can be killed.

    python tiny_cluster.py RUN_DIRECTORY REPLICAS [model arguments]

runs an agent until it is told to end by SIGTERM, and prints its run id once all replicas are ready.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.cluster.local.agent import LocalAgent
from autoscaler.cluster.local.machine import Machine
from autoscaler.cluster.local.orphans import become_subreaper
from autoscaler.cluster.local.procfs import RUN_VARIABLE, find_members
from autoscaler.cluster.local.service_spec import read_services

MODEL = Path(__file__).with_name("tiny_model.py")
SERVICE = "default/tiny"
MACHINE = Machine(cpus=4, memory_bytes=2**34)


def tiny(*arguments: str, name: str = "tiny", **container: object) -> dict[str, object]:
    """An InferenceService whose model is tiny_model.py with `arguments`."""
    serving = {
        "name": "kserve-container",
        "image": "example.test/tiny",
        "command": ["python", str(MODEL)],
        "args": ["--port=8080", *arguments],
        **container,
    }
    return {"metadata": {"name": name}, "spec": {"predictor": {"containers": [serving]}}}


@asynccontextmanager
async def running_agent(
    folder: Path, *inference_services: Mapping[str, object], machine: Machine = MACHINE
) -> AsyncIterator[LocalAgent]:
    """An agent in this process; at the end nothing of it may be left."""
    specs = read_services(inference_services, [], machine, {}, folder)
    agent = LocalAgent(specs, folder / "run", machine)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop(drain_seconds=1.0)
    assert members(agent.run) == []
    assert not (folder / "run").exists()


def members(run: str) -> list[int]:
    """Ids of the living processes that carry the run's mark."""
    return [entry.pid for entry in find_members((f"{RUN_VARIABLE}={run}",), ())]


async def until(
    agent: LocalAgent, condition: Callable[[tuple[Replica, ...]], bool], service: str = SERVICE, within: float = 20.0
) -> tuple[Replica, ...]:
    """The replicas of `service` once they meet `condition`."""
    last: tuple[ServiceView, ...] = ()
    try:
        async with asyncio.timeout(within):
            async for last in agent.watch():
                replicas = next(view.replicas for view in last if view.service == service)
                if condition(replicas):
                    return replicas
    except TimeoutError:
        raise AssertionError(f"not within {within} s: {last}") from None
    raise AssertionError("the watch ended")


def ready(count: int) -> Callable[[tuple[Replica, ...]], bool]:
    """Exactly `count` replicas, all ready."""
    return lambda replicas: len(replicas) == count and all(r.phase is ReplicaPhase.READY for r in replicas)


async def ask(replica: Replica) -> dict[str, object]:
    """What the model of `replica` says of itself, through its queue proxy."""
    async with aiohttp.ClientSession() as http, http.get(f"http://{replica.host}:{replica.port}/") as answer:
        assert answer.status == 200
        body = await answer.json(content_type=None)
        assert isinstance(body, dict)
        return body


async def main(folder: Path, replicas: int, *arguments: str) -> None:
    """See the module's docstring."""
    become_subreaper()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with running_agent(folder, tiny(*arguments)) as agent:
        agent.scale(SERVICE, replicas, ())
        await until(agent, ready(replicas))
        print(agent.run, flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
