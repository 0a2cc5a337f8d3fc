"""Events are told once, in bounds, and never wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autoscaler.cluster.interface import News
from autoscaler.cluster.kubernetes.events import Budget, EventRecorder
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.json_object import inner, text
from autoscaler.cluster.kubernetes.reduction import inference_service_facts
from tests.unit.kubernetes_cluster import kubernetes_objects as given
from tests.unit.kubernetes_cluster.test_kubernetes_scaling import Writes


def about(name: str = "chat") -> InferenceServiceFacts:
    reduced = inference_service_facts(given.inference_service(name))
    assert reduced is not None
    return reduced


def news(message: str = "Up from 1 to 2") -> News:
    return News("ScaledUp", "Scale", message)


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_262_400.25

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def recording(writes: Writes, budget: Budget = Budget()) -> AsyncIterator[tuple[EventRecorder, Clock]]:  # noqa: B008
    clock = Clock()
    recorder = EventRecorder(writes, "controller-1", clock, budget)
    running = asyncio.create_task(recorder.run())
    try:
        yield recorder, clock
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_an_event_says_whom_it_is_about_who_says_so_and_when() -> None:
    writes = Writes()
    async with recording(writes) as (recorder, _):
        recorder.tell(about(), news())
        await settled()
    ((method, path, body),) = writes.calls
    assert (method, path) == ("POST", "/apis/events.k8s.io/v1/namespaces/default/events")
    assert body is not None
    assert inner(body, "regarding") == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "namespace": "default",
        "name": "chat",
        "uid": "uid-chat",
    }
    said = {name: text(body, name) for name in ("type", "reason", "action", "note", "eventTime", "reportingInstance")}
    assert said == {
        "type": "Normal",
        "reason": "ScaledUp",
        "action": "Scale",
        "note": "Up from 1 to 2",
        "eventTime": "2026-11-21T12:00:00.250000Z",
        "reportingInstance": "controller-1",
    }


async def test_the_same_is_said_again_only_after_a_while() -> None:
    writes = Writes()
    async with recording(writes) as (recorder, clock):
        recorder.tell(about(), news())
        recorder.tell(about(), news())
        recorder.tell(about("other"), news())
        clock.now += Budget().repeat_seconds
        recorder.tell(about(), news())
        await settled()
    assert len(writes.calls) == 3


async def test_a_service_that_has_much_to_say_is_cut_short_and_may_say_more_later() -> None:
    writes = Writes()
    budget = Budget(burst=3, refill_seconds=10.0)
    async with recording(writes, budget) as (recorder, clock):
        for number in range(10):
            recorder.tell(about(), news(str(number)))
        assert recorder.dropped == 7
        clock.now += 10.0
        recorder.tell(about(), news("later"))
        recorder.tell(about(), news("too soon"))
        await settled()
    assert len(writes.calls) == 4


async def test_when_too_many_wait_news_are_dropped() -> None:
    writes = Writes()
    async with recording(writes, Budget(queued=2)) as (recorder, _):
        for number in range(5):
            recorder.tell(about(str(number)), news())
        await settled()
    assert len(writes.calls) == 2


async def test_an_event_that_is_refused_ends_no_other() -> None:
    writes = Writes({"/events": [403]})
    async with recording(writes) as (recorder, _):
        recorder.tell(about(), news("first"))
        recorder.tell(about(), news("second"))
        await settled()
    assert len(writes.calls) == 2
    assert recorder.dropped == 1


async def test_a_note_is_no_longer_than_the_server_takes() -> None:
    writes = Writes()
    async with recording(writes) as (recorder, _):
        recorder.tell(about(), news("€" * 1_000))
        await settled()
    body = writes.calls[0][2]
    assert body is not None
    assert len(text(body, "note").encode()) <= 1_024
