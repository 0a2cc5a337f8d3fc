"""Replicas as real processes: they start, serve, scale, fail with reasons, and are replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.cluster.local import readiness_watch
from autoscaler.cluster.local.machine import Machine
from autoscaler.cluster.local.procfs import read_processes
from tests.integration.local_cluster.tiny_cluster import SERVICE, ask, members, ready, running_agent, tiny, until


def child_running(agent_run: str, fragment: str, replica: str) -> int:
    """The process of `replica` whose command line contains `fragment`."""
    found = []
    for pid in members(agent_run):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        if f"/{replica}\0".encode() in environment and fragment in command:
            found.append(pid)
    assert len(found) == 1, found
    return found[0]


async def test_replicas_start_serve_and_go(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        assert agent.views[0].replicas == ()
        agent.scale(SERVICE, 1, ())
        (first,) = await until(agent, ready(1))
        assert (await ask(first))["argv"] != []
        agent.scale(SERVICE, 3, ())
        three = await until(agent, ready(3))
        models = {(await ask(replica))["pid"] for replica in three}
        assert len(models) == 3
        agent.scale(SERVICE, 1, (first.name,))
        (left,) = await until(agent, ready(1))
        assert left.name != first.name
        agent.scale(SERVICE, 0, ())
        await until(agent, lambda replicas: replicas == ())
        assert members(agent.run) == []


async def test_a_connection_made_while_the_model_still_starts_is_served(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny("--load=0.5")) as agent:
        agent.scale(SERVICE, 1, ())
        (starting,) = await until(agent, lambda replicas: len(replicas) == 1 and replicas[0].port is not None)
        assert starting.phase is ReplicaPhase.STARTING
        async with aiohttp.ClientSession() as http:
            url = f"http://{starting.host}:{starting.admin_port}/ready?wait=10"
            async with http.get(url) as answer:
                assert answer.status == 200
        await ask(starting)


@pytest.mark.parametrize("half", ["tiny_model.py", "queue_proxy"])
async def test_a_replica_that_loses_one_half_is_replaced_by_a_fresh_one(tmp_path: Path, half: str) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        (old,) = await until(agent, ready(1))
        before = set(members(agent.run))
        os.kill(child_running(agent.run, half, old.name), signal.SIGKILL)
        (new,) = await until(agent, lambda replicas: ready(1)(replicas) and replicas[0].name != old.name)
        await ask(new)
        assert before.isdisjoint(members(agent.run))


async def test_a_model_that_does_not_start_fails_with_its_exit_code_and_last_words(tmp_path: Path) -> None:
    def backing_off(replicas: tuple[Replica, ...]) -> bool:
        reason = replicas[0].reason if replicas else None
        return reason is not None and "(2 in a row)" in reason and replicas[0].phase is not ReplicaPhase.FAILED

    async with running_agent(tmp_path, tiny("--fail=3")) as agent:
        agent.scale(SERVICE, 1, ())
        (failed,) = await until(agent, lambda r: len(r) == 1 and r[0].phase is ReplicaPhase.FAILED)
        assert failed.reason is not None
        assert failed.reason.startswith("the model ended: exit code 3; last lines of its log:")
        assert "loading weights" in failed.reason
        assert "out of memory on device 0" in failed.reason
        # The first retry is at once, the second after a second; each is another replica, which tells why it is there.
        (again,) = await until(agent, backing_off)
        assert again.name != failed.name
        agent.scale(SERVICE, 0, ())
        await until(agent, lambda replicas: replicas == ())


async def test_a_failed_replica_that_is_no_longer_wanted_is_not_started_again(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny("--fail=1")) as agent:
        agent.scale(SERVICE, 1, ())
        await until(agent, lambda r: len(r) == 1 and "exit code 1" in (r[0].reason or ""))
        agent.scale(SERVICE, 0, ())
        await until(agent, lambda replicas: replicas == ())
        assert members(agent.run) == []


async def test_gpus_are_dealt_to_one_replica_each_and_given_back(tmp_path: Path) -> None:
    machine = Machine(cpus=4, memory_bytes=2**34, gpus=("0", "1"), gpu_environment={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    one_gpu = {"limits": {"nvidia.com/gpu": "1"}}
    async with running_agent(tmp_path, tiny(resources=one_gpu), machine=machine) as agent:
        agent.scale(SERVICE, 3, ())
        replicas = await until(agent, lambda r: [x.phase.value for x in r] == ["ready", "ready", "pending"])
        assert replicas[2].reason == "0 of 2 GPUs free, 1 needed"
        assert replicas[2].port is None
        environments = [(await ask(replica))["env"] for replica in replicas[:2]]
        visible = [env["CUDA_VISIBLE_DEVICES"] for env in environments if isinstance(env, dict)]
        assert sorted(visible) == ["0", "1"]
        agent.scale(SERVICE, 2, (replicas[0].name,))
        left = await until(agent, ready(2))
        environment = (await ask(left[1]))["env"]
        assert isinstance(environment, dict)
        assert environment["CUDA_VISIBLE_DEVICES"] == visible[0]


async def test_a_replica_that_asked_for_no_gpu_sees_none(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny(), machine=Machine(4, 2**34, gpus=("0",))) as agent:
        agent.scale(SERVICE, 1, ())
        (replica,) = await until(agent, ready(1))
        environment = (await ask(replica))["env"]
        assert isinstance(environment, dict)
        assert environment["CUDA_VISIBLE_DEVICES"] == ""


async def test_children_that_left_the_models_session_go_with_it(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny("--children=1")) as agent:
        agent.scale(SERVICE, 1, ())
        await until(agent, ready(1))
        family = members(agent.run)
        sessions = {entry.session for pid, entry in read_processes().items() if pid in family}
        assert len(family) == 5, "model, queue proxy, and three children, of which one is a daemon"
        assert len(sessions) >= 4
        agent.scale(SERVICE, 0, ())
        await until(agent, lambda replicas: replicas == ())
        assert members(agent.run) == []


async def test_a_draining_replica_finishes_what_it_has_accepted(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        (replica,) = await until(agent, ready(1))
        async with aiohttp.ClientSession() as http:
            slow = asyncio.create_task(_status(http, f"http://{replica.host}:{replica.port}/?seconds=1"))
            await _in_flight(replica)
            agent.scale(SERVICE, 0, ())
            (draining,) = await until(agent, lambda r: len(r) == 1 and r[0].phase is ReplicaPhase.DRAINING)
            assert draining.name == replica.name
            assert await slow == 200
        await until(agent, lambda replicas: replicas == ())


async def test_a_drain_that_takes_too_long_is_cut(tmp_path: Path) -> None:
    body = tiny()
    async with running_agent(tmp_path, body) as agent:
        agent.scale(SERVICE, 1, ())
        (replica,) = await until(agent, ready(1))
        async with aiohttp.ClientSession() as http:
            stuck = asyncio.create_task(_status(http, f"http://{replica.host}:{replica.port}/?seconds=600"))
            await _in_flight(replica)
            await asyncio.wait_for(agent.stop(drain_seconds=0.2), 15)
            with pytest.raises(aiohttp.ClientError):
                await stuck


async def test_a_second_stop_shortens_the_first_and_both_return_when_all_is_gone(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        (replica,) = await until(agent, ready(1))
        async with aiohttp.ClientSession() as http:
            stuck = asyncio.create_task(_status(http, f"http://{replica.host}:{replica.port}/?seconds=600"))
            await _in_flight(replica)
            patient = asyncio.create_task(agent.stop(drain_seconds=600))
            await until(agent, lambda r: len(r) == 1 and r[0].phase is ReplicaPhase.DRAINING)
            async with asyncio.timeout(60):
                await agent.stop(drain_seconds=0)
                assert members(agent.run) == []
                await patient
            with pytest.raises(aiohttp.ClientError):
                await stuck


async def test_a_model_that_is_never_ready_is_given_up_when_the_policy_says_so(tmp_path: Path) -> None:
    body = tiny("--load=600")
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = {"pilotlight.dev/progress-deadline": "1s"}
    async with running_agent(tmp_path, body) as agent:
        agent.scale(SERVICE, 1, ())
        (failed,) = await until(agent, lambda r: len(r) == 1 and r[0].phase is ReplicaPhase.FAILED)
        assert failed.reason is not None
        assert failed.reason.startswith("the model was not ready within 1 s: nobody accepts connections on 127.0.0.1:")
        assert "; last lines of its log:\nloading weights" in failed.reason
        await until(agent, lambda r: len(r) == 1 and r[0].name != failed.name)


async def test_a_model_that_listens_elsewhere_says_so_while_it_is_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_watch, "HOLD_SECONDS", 0.2)
    async with running_agent(tmp_path, tiny("--load=600")) as agent:
        agent.scale(SERVICE, 1, ())
        (starting,) = await until(agent, lambda r: len(r) == 1 and r[0].reason is not None)
        assert starting.phase is ReplicaPhase.STARTING
        assert starting.reason is not None
        assert starting.reason.startswith("not ready yet: nobody accepts connections on 127.0.0.1:")


async def test_a_model_that_stops_being_ready_is_listed_as_not_ready_until_it_is_again(tmp_path: Path) -> None:
    mark = tmp_path / "sick"
    probe = {"exec": {"command": ["test", "!", "-e", str(mark)]}, "periodSeconds": 1, "failureThreshold": 1}
    async with running_agent(tmp_path, tiny(readinessProbe=probe)) as agent:
        agent.scale(SERVICE, 1, ())
        (healthy,) = await until(agent, ready(1))
        mark.touch()
        (sick,) = await until(agent, lambda r: len(r) == 1 and r[0].phase is ReplicaPhase.STARTING)
        assert (sick.name, sick.reason) == (healthy.name, "its readiness probe fails: test exited with 1")
        mark.unlink()
        (again,) = await until(agent, ready(1))
        assert (again.name, again.ready_at) == (healthy.name, healthy.ready_at)


async def _status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status


async def _in_flight(replica: Replica) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(500):
            async with http.get(f"http://{replica.host}:{replica.admin_port}/stats") as answer:
                if (await answer.json())["running"] == 1:
                    return
            await asyncio.sleep(0.01)
    raise AssertionError("the request never reached the model")


async def test_an_agent_comes_to_its_end_also_when_a_replica_was_cancelled(tmp_path: Path) -> None:
    async with running_agent(tmp_path, tiny()) as agent:
        agent.scale(SERVICE, 1, ())
        await until(agent, ready(1))
        (life,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("replica ")]
        life.cancel()
        await asyncio.wait({life})
        await agent.stop(0.0)
        assert members(agent.run) == []
