"""Events are told once, in bounds, and never wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from autoscaler.cluster.interface import ServiceEvent
from autoscaler.cluster.kubernetes.events import Budget, EventRecorder
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, text
from autoscaler.cluster.kubernetes.reduction import inference_service_facts
from tests.unit.kubernetes_cluster import kubernetes_objects as given
from tests.unit.kubernetes_cluster.test_kubernetes_scaling import Writes

EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


def name_of(call: tuple[str, str, JsonObject | None]) -> str:
    """Of the event that was created."""
    return text(inner(call[2], "metadata"), "name")


def about(name: str = "chat") -> InferenceServiceFacts:
    reduced = inference_service_facts(given.inference_service(name))
    assert reduced is not None
    return reduced


def event(message: str = "Up from 1 to 2") -> ServiceEvent:
    return ServiceEvent("ScaledUp", "Scale", message)


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
        recorder.tell(about(), event())
        await settled()
    ((method, path, body),) = writes.calls
    assert (method, path) == ("POST", EVENTS)
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


async def test_the_same_again_is_counted_and_is_another_event_only_after_a_while() -> None:
    writes = Writes()
    async with recording(writes) as (recorder, clock):
        recorder.tell(about(), event())
        await settled()
        recorder.tell(about("other"), event())
        clock.now += Budget().count_seconds
        recorder.tell(about(), event())
        await settled()
        clock.now += Budget().series_seconds
        recorder.tell(about(), event())
        await settled()
    assert [method for method, _, _ in writes.calls] == ["POST", "POST", "PATCH", "POST"]
    assert writes.calls[2] == (
        "PATCH",
        f"{EVENTS}/{name_of(writes.calls[0])}",
        {"series": {"count": 2, "lastObservedTime": "2026-11-21T12:00:10.250000Z"}},
    )


@pytest.mark.looptime
async def test_what_is_told_all_the_time_is_written_seldom_and_its_number_comes_right() -> None:
    writes = Writes()
    async with recording(writes, Budget(count_seconds=10.0)) as (recorder, clock):
        began, loop = clock.now, asyncio.get_running_loop()
        for _ in range(300):
            recorder.tell(about(), event())
            await asyncio.sleep(0.2)
            clock.now = began + loop.time()
        await asyncio.sleep(10.0)
    created, *counted = writes.calls
    assert created[0] == "POST"
    assert {path for _, path, _ in counted} == {f"{EVENTS}/{name_of(created)}"}
    counts = [number(inner(body, "series"), "count") for _, _, body in counted]
    assert 5 <= len(counts) <= 7, "one in ten seconds of a minute"
    assert counts == sorted(set(counts))
    assert counts[-1] == 300


async def test_an_event_that_the_cluster_has_forgotten_is_written_anew() -> None:
    writes = Writes({"/events/": [404]})
    async with recording(writes) as (recorder, clock):
        recorder.tell(about(), event())
        await settled()
        clock.now += 60.0
        recorder.tell(about(), event())
        await settled()
        clock.now += 60.0
        recorder.tell(about(), event())
        await settled()
    assert [method for method, _, _ in writes.calls] == ["POST", "PATCH", "POST", "PATCH"]
    assert name_of(writes.calls[2]) != name_of(writes.calls[0])
    assert writes.calls[3][1] == f"{EVENTS}/{name_of(writes.calls[2])}"
    assert recorder.dropped == 0


async def test_a_service_that_has_much_to_say_is_cut_short_and_may_say_more_later() -> None:
    writes = Writes()
    budget = Budget(burst=3, refill_seconds=10.0)
    async with recording(writes, budget) as (recorder, clock):
        for number in range(10):
            recorder.tell(about(), event(str(number)))
        assert recorder.dropped == 7
        clock.now += 10.0
        recorder.tell(about(), event("later"))
        recorder.tell(about(), event("too soon"))
        await settled()
    assert len(writes.calls) == 4


async def test_when_too_many_wait_news_are_dropped() -> None:
    writes = Writes()
    async with recording(writes, Budget(queued=2)) as (recorder, _):
        for number in range(5):
            recorder.tell(about(str(number)), event())
        await settled()
    assert len(writes.calls) == 2


async def test_an_event_that_is_refused_ends_no_other() -> None:
    writes = Writes({"/events": [403]})
    async with recording(writes) as (recorder, _):
        recorder.tell(about(), event("first"))
        recorder.tell(about(), event("second"))
        await settled()
    assert len(writes.calls) == 2
    assert recorder.dropped == 1


async def test_a_note_is_no_longer_than_the_server_takes() -> None:
    writes = Writes()
    async with recording(writes) as (recorder, _):
        recorder.tell(about(), event("€" * 1_000))
        await settled()
    body = writes.calls[0][2]
    assert body is not None
    assert len(text(body, "note").encode()) <= 1_024


async def test_what_was_forgotten_and_told_again_before_it_was_written_is_written_once() -> None:
    writes = Writes()
    async with recording(writes, Budget(remembered=1)) as (recorder, _):
        for message in ("one", "another", "one"):
            recorder.tell(about(), event(message))
        await settled()
    assert [method for method, _, _ in writes.calls] == ["POST"]
