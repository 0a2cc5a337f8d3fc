"""The loop on a virtual clock: when it decides, on what, and what one service's trouble does to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from activator.messages import StatsPush
from autoscaler.cluster.interface import ReplicaPhase
from autoscaler.controller.loop import Controller
from autoscaler.controller.readings.scrape import Scraper
from autoscaler.controller.recorder import Recorder
from autoscaler.controller.service.faults import FaultKind
from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, Reason
from autoscaler.signals.observation import Observation
from tests.unit.controller.controller_builders import (
    CHAT,
    START,
    MemoryCluster,
    inference_service,
    replica,
    running,
    stats,
    view,
)

pytestmark = pytest.mark.looptime


def push(controller: Controller, at: float, service: str = CHAT, *, waiting: int = 0, urgent: bool = False) -> None:
    message = stats("activator/main", at, waiting=waiting)
    controller.activator_pushed("main", StatsPush(urgent, {service: message}))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def decided(controller: Controller, service: str = CHAT) -> list[float]:
    return [decision.at - START for decision in controller.services[service].history.last(1_000)]


async def test_a_service_is_decided_every_two_seconds_once_it_may_be() -> None:
    async with running(MemoryCluster(view())) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(20)
        times = decided(controller)
        assert times[0] == pytest.approx(0.0, abs=0.01)
        assert [b - a for a, b in pairwise(times[1:])] == pytest.approx([2.0] * (len(times) - 2))


async def test_nothing_is_decided_before_an_activator_could_connect() -> None:
    async with running(MemoryCluster(view())) as controller:
        await asyncio.sleep(2.4)
        assert decided(controller) == []
        await asyncio.sleep(0.2)
        assert decided(controller) == [pytest.approx(2.5, abs=0.01)]


async def test_nothing_is_decided_before_each_replica_was_scraped() -> None:
    a, b = replica("a", admin_port=None), replica("b", admin_port=None)
    async with running(MemoryCluster(view(a, b))) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        controller.scraped(CHAT, "a", stats("a", 100.0, history=60))
        await asyncio.sleep(1.0)
        assert decided(controller) == []
        controller.scraped(CHAT, "b", stats("b", 100.0, history=60))
        await settle()
        assert decided(controller) == [pytest.approx(1.0)]


async def test_nothing_is_decided_on_histories_of_which_one_was_not_even_asked_for_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands are asked before it: a second more, and it is there."""
    untried = True
    monkeypatch.setattr(Scraper, "untried", lambda self, service: untried)
    a, b = replica("a", admin_port=None), replica("b", admin_port=None)
    async with running(MemoryCluster(view(a, b))) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        controller.scraped(CHAT, "a", stats("a", 100.0, history=60))
        await asyncio.sleep(5.0)
        assert decided(controller) == []
        untried = False
        controller.scraped(CHAT, "b", stats("b", 100.0, history=60))
        await asyncio.sleep(2.0)
        assert len(decided(controller)) >= 1


async def test_an_urgent_push_is_decided_at_once() -> None:
    cluster = MemoryCluster(view())
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(10.3)
        push(controller, 11.3, waiting=1, urgent=True)
        await settle()
        ((at, _, replicas, _),) = cluster.orders
        assert at == pytest.approx(10.3)
        assert replicas == 1


async def test_what_the_next_urgent_push_of_a_burst_tells_is_ordered_within_fifty_milliseconds() -> None:
    cluster = MemoryCluster(view(isvc=inference_service(predictor={"containerConcurrency": 4})))
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(10.3)
        push(controller, 11.3, waiting=1, urgent=True)
        await asyncio.sleep(0.02)
        push(controller, 11.32, waiting=64, urgent=True)
        await asyncio.sleep(0.04)
        (first, _, one, _), (corrected, _, several, _) = cluster.orders
        assert (one, several) == (1, 16)
        assert corrected - first <= 0.051


@pytest.mark.parametrize("refuse", [None, "no GPU is free"])
async def test_urgent_pushes_are_evaluated_at_most_twenty_times_a_second(refuse: str | None) -> None:
    cluster = MemoryCluster(view())
    cluster.refuse = refuse
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(10.3)
        for number in range(200):
            push(controller, 11.3 + number / 200, waiting=1, urgent=True)
            await asyncio.sleep(0.005)
        assert 19 <= len([at for at in decided(controller) if at >= 10.29]) <= 22


async def test_what_is_held_in_a_restart_is_not_forgotten() -> None:
    """A controller that starts while requests wait orders at once, from the activator's first push."""
    cluster = MemoryCluster(view())
    async with running(cluster) as controller:
        await asyncio.sleep(0.3)
        controller.activator_connected("main")
        push(controller, 500.0, waiting=4, urgent=True)
        await asyncio.sleep(0.2)
        assert [replicas > 0 for _, _, replicas, _ in cluster.orders] == [True]


async def test_a_restart_in_a_burst_does_not_scale_down_from_the_gap() -> None:
    """Four busy replicas, a new controller: the histories fill its windows, and it orders nothing less."""
    isvc = inference_service(predictor={"containerConcurrency": 4, "maxReplicas": 4}, target="4")
    names = ["a", "b", "c", "d"]
    cluster = MemoryCluster(view(*(replica(n, admin_port=None) for n in names), isvc=isvc))
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 500.0, waiting=8)
        for name in names:
            controller.scraped(CHAT, name, stats(name, 500.0, running=4, history=600))
        for second in range(1, 60):
            await asyncio.sleep(1)
            push(controller, 500.0 + second, waiting=8)
            for name in names:
                controller.scraped(CHAT, name, stats(name, 500.0 + second, running=4))
        decisions = controller.services[CHAT].history.last(1_000)
        assert len(decisions) >= 28
        assert {decision.desired for decision in decisions} == {4}
        assert cluster.orders == []


async def test_replicas_that_cannot_be_asked_are_not_scaled_down() -> None:
    names = ["a", "b"]
    cluster = MemoryCluster(view(*(replica(n, admin_port=None) for n in names)))
    async with running(cluster) as controller:
        controller.activator_connected("main")
        for second in range(600):
            push(controller, 1.0 + second)
            await asyncio.sleep(1)
        assert cluster.orders == []
        assert decided(controller)[0] == pytest.approx(3.0, abs=0.1)


async def test_a_policy_that_cannot_be_read_disturbs_only_its_own_service() -> None:
    bad = view(service="default/bad", isvc=inference_service("default/bad", target="many"))
    cluster = MemoryCluster(bad, view())
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(10)
        assert decided(controller, "default/bad") == []
        assert "pilotlight.dev/target" in str(controller.services["default/bad"].faults.worst)
        assert len(decided(controller)) >= 4
        push(controller, 11.0, waiting=1, urgent=True)
        await settle()
        assert [service for _, service, _, _ in cluster.orders] == [CHAT]


async def test_an_evaluation_that_raises_disturbs_only_its_own_service(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Decider.step

    def broken(self: Decider, observation: Observation) -> Decision:
        if self.service == "default/bad":
            raise ZeroDivisionError("a bug")
        return real(self, observation)

    monkeypatch.setattr(Decider, "step", broken)
    bad = view(service="default/bad", isvc=inference_service("default/bad"))
    async with running(MemoryCluster(bad, view())) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(10)
        fault = controller.services["default/bad"].faults.worst
        assert fault is not None
        assert fault.kind is FaultKind.EVALUATION
        assert fault.message.startswith("ZeroDivisionError: a bug")
        assert fault.times >= 4
        assert len(decided(controller)) >= 4
        monkeypatch.undo()
        await asyncio.sleep(4)
        assert controller.services["default/bad"].faults.worst is None


async def test_shadow_decides_and_orders_nothing() -> None:
    cluster = MemoryCluster(view(isvc=inference_service(scaling="shadow")))
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0, waiting=3, urgent=True)
        await asyncio.sleep(10)
        latest = controller.services[CHAT].history.latest
        assert latest is not None
        assert latest.desired > 0
        assert cluster.orders == []


async def test_off_decides_nothing() -> None:
    cluster = MemoryCluster(view(isvc=inference_service(scaling="off")))
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0, waiting=3, urgent=True)
        await asyncio.sleep(10)
        assert decided(controller) == []
        assert cluster.orders == []


async def test_a_policy_edited_to_shadow_takes_back_an_order_that_was_not_taken() -> None:
    cluster = MemoryCluster(view())
    cluster.refuse = "not now"
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0, waiting=3, urgent=True)
        await asyncio.sleep(5)
        cluster.show(view(isvc=inference_service(scaling="shadow"), generation=2))
        await asyncio.sleep(5)
        cluster.refuse = None
        await asyncio.sleep(20)
        assert cluster.orders == []


async def test_a_refused_order_is_a_fault_until_it_is_taken() -> None:
    cluster = MemoryCluster(view())
    cluster.refuse = "no GPU is free"
    async with running(cluster) as controller:
        controller.activator_connected("main")
        push(controller, 1.0, waiting=3, urgent=True)
        await asyncio.sleep(5)
        fault = controller.services[CHAT].faults.worst
        assert fault is not None
        assert fault.kind is FaultKind.ORDER
        assert "no GPU is free" in fault.message
        assert len(controller.services[CHAT].wakes.last(10)) == 1
        cluster.refuse = None
        await asyncio.sleep(6)
        assert controller.services[CHAT].faults.worst is None
        assert len(cluster.orders) >= 1


async def test_a_service_that_is_gone_is_forgotten() -> None:
    cluster = MemoryCluster(view(), view(service="default/other", isvc=inference_service("default/other")))
    async with running(cluster) as controller:
        await asyncio.sleep(5)
        cluster.remove("default/other")
        await asyncio.sleep(5)
        assert list(controller.services) == [CHAT]
        assert b'service="other"' not in await controller.metrics_text()


async def test_every_decision_is_written_down_with_what_it_was_decided_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl")
    async with running(MemoryCluster(view()), recorder) as controller:
        controller.activator_connected("main")
        push(controller, 1.0)
        await asyncio.sleep(6)
        kinds = [line.split('"kind":"')[1].split('"')[0] for line in recorder.path.read_text().splitlines()]
        decisions = len(decided(controller))
    assert kinds == ["start", *["readings", "decision"] * decisions]
    recorder.close()


async def test_what_the_cluster_shows_before_it_is_first_seen_is_not_an_empty_table() -> None:
    """An activator that outlived the last controller must not lose its endpoints to a table of nobody."""

    class Slow(MemoryCluster):
        async def watch(self) -> AsyncIterator[tuple]:  # type: ignore[type-arg]
            await asyncio.sleep(5)
            async for views in super().watch():
                yield views

    published: list[int] = []
    async with running(Slow(view())) as controller:
        controller.connections.publish = lambda routes: published.append(len(routes.routes))  # type: ignore[method-assign]
        await asyncio.sleep(4)
        assert published == []
        await asyncio.sleep(2)
        assert published == [1]


async def test_a_starting_replica_is_routed_as_soon_as_it_has_an_address() -> None:
    cluster = MemoryCluster(view())
    tables: list[list[str]] = []
    async with running(cluster) as controller:
        controller.connections.publish = lambda routes: tables.append(  # type: ignore[method-assign]
            [endpoint.state.value for route in routes.routes for endpoint in route.endpoints]
        )
        await asyncio.sleep(1)
        cluster.show(view(replica("a", ReplicaPhase.PENDING, admin_port=None)))
        await settle()
        cluster.show(view(replica("a", ReplicaPhase.STARTING)))
        await settle()
        cluster.show(view(replica("a", ReplicaPhase.READY)))
        await settle()
        assert tables[-2:] == [["starting"], ["ready"]]


async def test_a_disconnected_activator_leaves_the_unknown_and_not_zero() -> None:
    cluster = MemoryCluster(view(replica("a", admin_port=None)))
    async with running(cluster) as controller:
        controller.activator_connected("main")
        for second in range(200):
            controller.scraped(CHAT, "a", stats("a", 500.0 + second, history=600 if second == 0 else 0))
            if second == 0:
                push(controller, 500.0, waiting=2)
            if second == 1:
                controller.activator_disconnected("main", left=False)
            await asyncio.sleep(1)
        latest = controller.services[CHAT].history.latest
        assert latest is not None
        assert latest.reason in (Reason.UNKNOWN_LOAD, Reason.STEADY, Reason.WAITING_TO_SLEEP, Reason.AT_MIN)
        assert latest.desired == 1
        assert cluster.orders == []


async def test_the_cluster_is_told_which_activators_speak_and_which_were_lost_without_a_word() -> None:
    cluster = MemoryCluster(view())
    async with running(cluster) as controller:
        for activator in ("a", "b"):
            controller.activator_connected(activator)
        controller.activator_disconnected("a", left=False)
        controller.activator_disconnected("b", left=True)
        assert cluster.activators == [("a", True), ("b", True), ("a", False)]


async def test_a_recording_that_had_to_stop_is_a_fault_that_status_shows() -> None:
    async with running(MemoryCluster(view()), Recorder(Path("/dev/full"))) as controller:
        push(controller, START)
        await asyncio.sleep(5)
        worst = controller.services[CHAT].faults.worst
        assert worst is not None
        assert worst.kind is FaultKind.RECORDING
        assert "No space left on device" in worst.message
