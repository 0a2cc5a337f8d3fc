"""The controller as a process: it wakes at once, follows the load, survives its own death, and says why."""

from __future__ import annotations

import asyncio
import functools
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from simulations.replay import replay
from tests.integration.controller.controller_process import (
    Activator,
    Agent,
    ControllerProcess,
    Load,
    eventually,
    running_controller,
)
from tests.unit.controller.controller_builders import CHAT, inference_service, view

WAKES = 30


async def test_a_wake_is_ordered_within_fifty_milliseconds_of_the_push(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent.sock")
    names = [f"default/wake-{number}" for number in range(WAKES)]
    for name in names:
        agent.show(view(service=name, isvc=inference_service(name)))
    async with running_controller(tmp_path, agent) as controller, Activator(tmp_path) as activator:
        for name in names:
            activator.hold(name, 0)

        async def all_decided() -> bool:
            services = json.loads((await controller.get("/services"))[1])["services"]
            return all(service["phase"] == "asleep" for service in services)

        await eventually("every service to be asleep", all_decided)
        took = []
        for name in names:
            activator.hold(name, 1)
            pushed = time.monotonic()
            await activator.push(name, urgent=True)

            async def ordered(name: str = name) -> float:
                return next((at for at, service, _, _ in agent.orders if service == name), 0.0)

            took.append(1000 * (await eventually(f"the order of {name}", ordered, within=60) - pushed))
    took.sort()
    print(
        f"\nurgent push to scale order, {WAKES} wakes: "
        f"p50 {statistics.median(took):.2f} ms, p95 {took[int(0.95 * WAKES)]:.2f} ms, max {took[-1]:.2f} ms"
    )
    # An order that waited for the next evaluation would take up to ten seconds here.
    assert statistics.median(took) <= 1_000
    assert {replicas for _, _, replicas, _ in agent.orders} == {1}


@pytest.mark.slow
async def test_it_follows_the_load_up_and_down_to_zero_and_replays_to_the_same_bytes(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent.sock")
    isvc = inference_service(
        predictor={"containerConcurrency": 4, "maxReplicas": 3},
        stable_window="6s",
        scale_down_delay="0s",
        scale_to_zero_grace_period="1s",
    )
    agent.show(view(isvc=isvc))
    recording = tmp_path / "run.jsonl"
    async with (
        running_controller(tmp_path, agent, "--record", str(recording)) as controller,
        Activator(tmp_path) as activator,
    ):
        activator.hold(CHAT, 2)
        await activator.push(CHAT, urgent=True)
        await eventually("the wake", lambda: _wanted(agent, 1))
        load = await agent.start_replica(CHAT, "chat-a")
        activator.hold(CHAT, 0)
        load.set(running=4)
        activator.hold(CHAT, 8)
        await eventually("three replicas", lambda: _wanted(agent, 3))
        others = [await agent.start_replica(CHAT, name) for name in ("chat-b", "chat-c")]
        activator.hold(CHAT, 0)
        for other in others:
            other.set(running=4)
        await asyncio.sleep(3)
        assert agent.views[CHAT].wanted == 3
        load.set(running=1)
        for other in others:
            other.set(running=0)
        await eventually("one replica", lambda: _wanted(agent, 1))
        go_first = next(names for _, _, replicas, names in reversed(agent.orders) if replicas < 3)
        assert go_first[-1] == "chat-a", "the busy one goes last"
        agent.stop_replicas(CHAT, "chat-b", "chat-c")
        load.set(running=0)
        await eventually("zero", lambda: _wanted(agent, 0))
        agent.stop_replicas(CHAT, "chat-a")
        explained = await controller.explain(CHAT)
    wakes = explained["wakes"]
    assert isinstance(wakes, list)
    assert len(wakes) == 1
    wake = wakes[0]
    assert wake["decided_at"] <= wake["ready_at"] <= wake["first_request_at"]
    assert ("chat-a", "seconds=9") in agent.asked, "as much as windows of six seconds hold"
    assert ("chat-a", "") in agent.asked
    result = replay(recording.read_text().splitlines(keepends=True))
    print(f"\nreplayed {result.decisions} decisions, {result.identical} identical")
    assert result.decisions > 10
    assert result.differences == ()
    assert result.identical == result.decisions


@pytest.mark.slow
async def test_killed_and_restarted_in_a_burst_it_does_not_scale_down(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent.sock")
    isvc = inference_service(predictor={"containerConcurrency": 4, "maxReplicas": 4}, stable_window="6s")
    names = ["chat-a", "chat-b", "chat-c", "chat-d"]
    agent.show(view(isvc=isvc, wanted=4))
    recording = tmp_path / "run.jsonl"
    async with (
        running_controller(tmp_path, agent, "--record", str(recording)) as controller,
        Activator(tmp_path) as activator,
    ):
        loads = [await agent.start_replica(CHAT, name) for name in names]
        for load in loads:
            load.set(running=4)
        activator.hold(CHAT, 3)
        await asyncio.sleep(6)
        await controller.kill()
        # The moment at which the new controller first looks is one without requests, as between two waves. How long it
        # takes to start is the machine's affair, so the moment begins with its first question.
        agent.asked.clear()
        agent.before_answer = functools.partial(_set_all, loads, 0)
        await controller.start()
        started = time.monotonic()
        await eventually("its questions", lambda: _asked_for_histories(agent, names))
        agent.before_answer = None
        _set_all(loads, 4)
        decisions = await eventually("the first decision", lambda: controller.decisions(CHAT))
        print(f"\nfirst decision {time.monotonic() - started:.2f} s after the restarted controller listens")
        readings = decisions[0]["candidates"]
        assert isinstance(readings, list)
        averages = {c["signal"]: c["reading"].get("known", 0.0) for c in readings}
        assert averages["concurrency-stable"] > 12, f"the window was filled from the histories: {averages}"
        decisions = await eventually("a window of decisions", lambda: _decisions(controller, CHAT, 4))
        assert {decision["desired"] for decision in decisions} == {4}
        assert agent.views[CHAT].wanted == 4
        assert [order for order in agent.orders if order[2] < 4] == []
    result = replay(recording.read_text().splitlines(keepends=True))
    assert result.differences == ()


@pytest.mark.slow
async def test_replicas_whose_numbers_cannot_be_had_are_kept(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent.sock")
    agent.show(view(isvc=inference_service(stable_window="6s", scale_to_zero_grace_period="1s"), wanted=2))
    agent.refuse_stats = True
    async with running_controller(tmp_path, agent) as controller, Activator(tmp_path) as activator:
        activator.hold(CHAT, 0)
        for name in ("chat-a", "chat-b"):
            await agent.start_replica(CHAT, name)
        await asyncio.sleep(14)
        decisions = await controller.decisions(CHAT)
        assert len(decisions) >= 4
        assert agent.orders == []
        explained = await controller.explain(CHAT)
        faults = explained["faults"]
        assert isinstance(faults, list)
        assert {(fault["kind"], fault["subject"]) for fault in faults} == {("scrape", "chat-a"), ("scrape", "chat-b")}
        assert "answered 500" in faults[0]["message"]


async def test_one_policy_that_cannot_be_read_disturbs_no_other_service(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent.sock")
    agent.show(view(service="default/bad", isvc=inference_service("default/bad", target="many")))
    agent.show(view())
    async with running_controller(tmp_path, agent) as controller, Activator(tmp_path) as activator:
        activator.hold(CHAT, 1)
        await activator.push(CHAT, urgent=True)
        await eventually("the wake of the good one", lambda: _wanted(agent, 1))
        services = {s["service"]: s for s in json.loads((await controller.get("/services"))[1])["services"]}
        assert "pilotlight.dev/target" in services["default/bad"]["error"]
        assert services["default/bad"]["phase"] is None
        assert services[CHAT]["error"] is None
        table = activator.tables[-1]
        assert [route.service for route in table.routes] == ["default/bad", CHAT]


async def test_the_activator_is_told_of_a_replica_at_once(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent.sock")
    agent.show(view())
    async with running_controller(tmp_path, agent), Activator(tmp_path) as activator:
        activator.hold(CHAT, 0)

        async def table() -> bool:
            return bool(activator.tables)

        await eventually("the first table", table)
        await agent.start_replica(CHAT, "chat-a")
        before = time.monotonic()  # nothing has been sent yet: the watch is another task

        async def listed() -> bool:
            return any(
                endpoint.name == "chat-a" for route in activator.tables[-1].routes for endpoint in route.endpoints
            )

        await eventually("the endpoint", listed, within=60)
        took = 1000 * (activator.told_at[-1] - before)
        print(f"\nfrom a replica that the cluster shows to the route at the activator: {took:.1f} ms")
        versions = [table.version for table in activator.tables]
        assert versions == sorted(set(versions))


async def _wanted(agent: Agent, replicas: int) -> bool:
    return agent.views[CHAT].wanted == replicas


async def _asked_for_histories(agent: Agent, names: Sequence[str]) -> bool:
    return {name for name, query in agent.asked if query.startswith("seconds=")} == set(names)


async def _decisions(controller: ControllerProcess, service: str, number: int) -> list[dict[str, object]]:
    decisions = await controller.decisions(service)
    return decisions if len(decisions) >= number else []


def _set_all(loads: Sequence[Load], running: int) -> None:
    for load in loads:
        load.set(running=running)
