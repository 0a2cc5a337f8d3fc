"""A service that may not be scaled: it is served and shown, told of once, and never acted on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from activator.messages import StatsPush
from autoscaler.cluster.interface import Refusal, ReplicaPhase, ServiceEvent, ServiceView
from autoscaler.controller.loop import Controller
from autoscaler.controller.service.events import of_order
from autoscaler.controller.service_report import explanation, summary
from autoscaler.controller.service_samples import service_samples
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

HPA = Refusal("OwnedByAnother", "HorizontalPodAutoscaler chat scales the same Deployment; delete it")


@asynccontextmanager
async def warm(cluster: MemoryCluster) -> AsyncIterator[Controller]:
    """A controller that has waited for whom it does not know."""
    async with running(cluster) as controller:
        await asyncio.sleep(4.0)
        yield controller


def somebody_waits(controller: Controller) -> None:
    now = START + asyncio.get_running_loop().time()
    controller.activator_pushed("one", StatsPush(True, {CHAT: stats("activator/one", now, waiting=3)}))


def asleep(refused: tuple[Refusal, ...] = ()) -> ServiceView:
    return replace(view(wanted=0), refused=refused)


async def test_nothing_is_ordered_while_it_is_refused_and_at_once_when_it_is_not() -> None:
    cluster = MemoryCluster()
    cluster.show(asleep((HPA,)))
    async with warm(cluster) as controller:
        somebody_waits(controller)
        await asyncio.sleep(10.0)
        assert (cluster.orders, cluster.paths) == ([], [])
        cluster.show(asleep())
        somebody_waits(controller)
        await asyncio.sleep(2.5)
        assert [(service, replicas) for _, service, replicas, _ in cluster.orders][:1] == [(CHAT, 1)]


async def test_it_is_told_of_once_and_when_it_is_over() -> None:
    cluster = MemoryCluster()
    cluster.show(asleep((HPA,)))
    async with warm(cluster):
        cluster.show(replace(asleep((HPA,)), generation=2))
        await asyncio.sleep(1.0)
        cluster.show(asleep())
        await asyncio.sleep(0.1)
    assert cluster.events[:2] == [
        (CHAT, ServiceEvent("OwnedByAnother", "Refuse", f"Not scaled: {HPA.message}", warning=True)),
        (CHAT, ServiceEvent("MayBeScaled", "Accept", "Nothing stands in the way of scaling any more")),
    ]


async def test_a_policy_that_cannot_be_read_is_told_of() -> None:
    cluster = MemoryCluster()
    cluster.show(view(wanted=0, isvc=inference_service(target="many")))
    async with warm(cluster):
        pass
    (service, event), *_ = cluster.events
    assert (service, event.reason, event.warning) == (CHAT, "PolicyNotReadable", True)
    assert "pilotlight.dev/target" in event.message


async def test_it_is_shown_with_its_reasons() -> None:
    cluster = MemoryCluster()
    cluster.show(replace(view(replica("chat-a", ReplicaPhase.READY)), refused=(HPA,)))
    async with warm(cluster) as controller:
        control = controller.services[CHAT]
        now = START + 5.0
        shown = summary(control, now)
        assert shown["refused"] == [{"code": HPA.code, "message": HPA.message}]
        assert shown["explanation"] == f"not scaled: {HPA.message}"
        assert (shown["phase"], shown["desired"]) == (None, None)
        assert explanation(control, 5, now, ())["refused"] == shown["refused"]
        samples = {(name, labels): value for name, labels, value in service_samples(control, now)}
        assert samples["pilotlight_refused", ("default", "chat", HPA.code)] == 1


async def test_an_order_that_was_taken_is_told_of_with_its_reason() -> None:
    cluster = MemoryCluster()
    cluster.show(asleep())
    async with warm(cluster) as controller:
        somebody_waits(controller)
        await asyncio.sleep(0.5)
    message = "Wakes with 1: 3 requests wait, one replica takes 100 at a time."
    assert cluster.events == [(CHAT, ServiceEvent("Woken", "Scale", message))]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [(0, 2, "Woken"), (1, 0, "PutToSleep"), (1, 3, "ScaledUp"), (3, 1, "ScaledDown")],
)
async def test_what_an_order_is_called(before: int, after: int, reason: str) -> None:
    cluster = MemoryCluster()
    cluster.show(asleep())
    async with warm(cluster) as controller:
        decision = controller.services[CHAT].history.latest
    assert decision is not None
    changed = replace(decision, replicas=replace(decision.replicas, wanted=before), desired=after)
    assert of_order(changed).reason == reason
