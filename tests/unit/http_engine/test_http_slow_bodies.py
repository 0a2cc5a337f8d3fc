"""Who occupies the model must send the body that it announced; who cannot, because we do not read, has time."""

from __future__ import annotations

import pytest

from queue_proxy.http import HttpLimits, HttpServer, Outcome
from tests.unit.http_engine.http_fakes import FakeDispatcher, FakeLease, FakeTransport, FakeUpstream, connect

HEAD = b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n"


class World:
    def __init__(self, body_seconds: float) -> None:
        self.now = 100.0
        self.dispatcher = FakeDispatcher()
        limits = HttpLimits(body_seconds=body_seconds, waiting_bytes=1_000)
        self.server = HttpServer(self.dispatcher, limits, clock=lambda: self.now)
        self.client = connect(self.server)
        self.upstream = FakeUpstream(lambda: self.now)

    def forward(self) -> tuple[FakeLease, FakeTransport]:
        lease = self.dispatcher.forward_next(self.upstream)
        return lease, self.upstream.connect_next()

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.server.deadlines.sweep(self.now)

    def end(self) -> None:
        self.client.lose()
        self.upstream.close()


async def test_a_body_that_stops_loses_its_place() -> None:
    world = World(2.0)
    world.client.receive(HEAD + b"x")
    lease, transport = world.forward()
    world.advance(1.8)
    assert lease.outcomes == []
    world.advance(0.4)
    assert lease.outcomes == [Outcome.FAILED]
    assert transport.aborted
    assert world.client.written.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in world.client.written
    assert world.server.slow_bodies_total == 1
    world.end()


async def test_a_byte_now_and_then_does_not_keep_the_place() -> None:
    world = World(2.0)
    world.client.receive(HEAD)
    lease, _ = world.forward()
    for _ in range(30):
        world.client.receive(b"x")
        world.advance(0.1)
    assert lease.outcomes == [Outcome.FAILED]
    world.end()


async def test_a_body_that_comes_steadily_has_all_the_time_it_needs() -> None:
    world = World(2.0)
    world.client.receive(HEAD)
    lease, _ = world.forward()
    for _ in range(200):
        world.client.receive(b"x" * 100)
        world.advance(0.1)
    assert lease.outcomes == []
    world.end()


async def test_much_at_once_buys_no_more_than_the_bound() -> None:
    world = World(2.0)
    world.client.receive(HEAD)
    lease, _ = world.forward()
    world.client.receive(b"x" * 500_000)
    world.advance(2.3)
    assert lease.outcomes == [Outcome.FAILED]
    world.end()


async def test_the_time_does_not_run_while_the_request_waits_or_the_model_does_not_read() -> None:
    world = World(2.0)
    world.client.receive(HEAD + b"x" * 1_000)
    assert world.client.paused
    world.advance(10.0)
    lease, transport = world.forward()
    transport.protocol.pause_writing()
    world.advance(10.0)
    assert lease.outcomes == []
    transport.protocol.resume_writing()
    world.advance(1.5)
    assert lease.outcomes == []
    world.advance(1.5)
    assert lease.outcomes == [Outcome.FAILED]
    world.end()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
async def test_who_is_answered_already_may_take_its_time(answer: bytes) -> None:
    world = World(2.0)
    world.client.receive(HEAD)
    lease, transport = world.forward()
    transport.receive(answer)
    world.advance(10.0)
    assert lease.outcomes == []
    world.end()


async def test_0_is_no_bound() -> None:
    world = World(0.0)
    world.client.receive(HEAD)
    lease, _ = world.forward()
    world.advance(300.0)
    assert lease.outcomes == []
    world.end()
