"""What the dispatcher answers itself: probes and scrapes, comments to who waits, refusals. On virtual time."""

from __future__ import annotations

import pytest

from activator.messages import EndpointState
from tests.unit.activator.activator_world import OK, World

READY, STARTING, DRAINING = EndpointState.READY, EndpointState.STARTING, EndpointState.DRAINING


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/work", {"user-agent": "kube-probe/1.33"}),
        ("/v1/work", {"pilotlight-probe": "x"}),
        ("/v2/health/live", {}),
        ("/healthz", {}),
        ("/metrics", {}),
        ("/v2/models/m/ready", {}),
    ],
)
async def test_probes_and_scrapes_of_a_sleeping_service_are_answered_here(path: str, headers: dict[str, str]) -> None:
    world = World()
    world.route()
    assert world.send(path, headers=headers).statuses == [b"200"]
    assert world.wakes == []
    assert world.dispatcher.stats().arrived == 0


@pytest.mark.parametrize("path", ["/metrics", "/v2/models/m/ready"])
async def test_a_look_at_a_serving_model_is_forwarded_without_a_place_and_uncounted(path: str) -> None:
    world = World()
    world.route(READY, capacity=1)
    world.send()
    look = world.send(path)
    assert world.dialled(0) == 2
    world.accept(0)
    world.accept(0).receive(OK)
    assert look.statuses == [b"200"]
    stats = world.dispatcher.stats()
    assert (stats.arrived, stats.running, stats.completed) == (1, 1, 0)


async def test_a_look_whose_endpoint_refuses_is_answered_here() -> None:
    world = World()
    world.route(READY)
    look = world.send("/metrics")
    world.refuse(0)
    assert look.statuses == [b"200"]


async def test_work_on_a_path_of_health_with_another_method_is_work() -> None:
    world = World()
    world.route()
    world.send("/health", body=b"x")
    assert world.dispatcher.stats().waiting == 1


async def test_comments_begin_after_the_first_interval_and_say_what_is_waited_for() -> None:
    world = World(comment_seconds=5.0)
    world.route(STARTING)
    patient, silent = world.send(headers={"pilotlight-wait": "comments"}), world.send()
    world.timers.pass_time(4.9)
    assert patient.answered == b""
    world.timers.pass_time(5.2)
    assert patient.answered.startswith(b"HTTP/1.1 200 ")
    assert patient.answered.count(b"for a replica to become ready") == 2
    assert silent.answered == b""
    world.dispatcher.proven(world.load(0))
    said = len(patient.answered)
    world.timers.pass_time(30.0)
    assert len(patient.answered) == said


async def test_a_short_wait_keeps_its_true_status() -> None:
    world = World(comment_seconds=5.0)
    world.route(STARTING)
    client = world.send(headers={"pilotlight-wait": "comments"})
    world.timers.pass_time(4.0)
    world.dispatcher.proven(world.load(0))
    world.accept(0).receive(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
    assert client.statuses == [b"404"]


async def test_a_refusal_after_comments_is_an_error_event() -> None:
    world = World(comment_seconds=5.0)
    world.route()
    client = world.send(headers={"pilotlight-wait": "comments"})
    world.timers.pass_time(61.0)
    assert client.statuses == [b"200"]
    assert b"event: error" in client.answered
    assert b"no replica is ready" in client.answered


async def test_ending_refuses_who_waits_and_who_comes_after() -> None:
    world = World()
    world.route()
    waiting = world.send()
    world.dispatcher.dismiss()
    assert waiting.statuses == [b"503"]
    assert world.send().statuses == [b"503"]
