"""Whatever clients, model and time do, in whatever order: no slot is lost, none is given twice, all is counted once.

Limiter, dispatcher, measurement and HTTP engine are the real ones; only connections and time are the test's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st

from queue_proxy.dispatcher import QueueDispatcher
from queue_proxy.http import HttpServer
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.limiter import QueueBounds
from queue_proxy.measurement import Measurement
from queue_proxy.probe_spec import default_probe
from queue_proxy.probes import Verdict
from queue_proxy.readiness import Readiness
from tests.unit.http_engine.http_fakes import FakeTransport, FakeUpstream, connect

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
EVENTS = (
    *("request", "request", "request", "probe", "scrape", "client_leaves", "connected", "connected", "refused"),
    *("answered", "answered", "half_answered", "model_dies", "ready", "not_ready", "blink", "moment", "minute"),
)


class Bench:
    """One proxy without a network."""

    def __init__(self, limit: int | None, depth: int, seconds: float | None, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.upstream = FakeUpstream(clock)
        self.readiness = Readiness(default_probe("127.0.0.1", 1), ("127.0.0.1", 1))
        self.measurement = Measurement("m", "e", clock())
        self.dispatcher = QueueDispatcher(
            self.upstream, limit, QueueBounds(depth, seconds), self.readiness, self.measurement, clock
        )
        self.server = HttpServer(self.dispatcher, clock=clock)
        self.clients: list[FakeTransport] = []
        self.sent = 0

    def begin(self, path: bytes = b"/work%d", headers: bytes = b"") -> None:
        client = connect(self.server)
        self.clients.append(client)
        self.sent += 1
        path = path % self.sent if b"%d" in path else path
        client.receive(b"GET " + path + b" HTTP/1.1\r\nHost: m\r\n" + headers + b"\r\n")

    def busy(self) -> list[FakeTransport]:
        """Connections of the model that have a request on them."""
        transports = self.upstream.transports
        return [t for t in transports if not t.closing and getattr(t.protocol, "exchange", None) is not None]

    async def happen(self, event: str, which: int) -> None:
        busy = self.busy()
        if event == "request":
            self.begin()
        elif event == "probe":
            self.begin(headers=b"User-Agent: kube-probe/1\r\n")
        elif event == "scrape":
            self.begin(b"/metrics")
        elif event == "client_leaves" and self.clients:
            self.clients.pop(which % len(self.clients)).lose()
        elif event == "connected" and self.upstream.attempts:
            self.upstream.connect_next()
        elif event == "refused" and self.upstream.attempts:
            self.upstream.refuse_next()
        elif event in ("answered", "half_answered") and busy:
            busy[which % len(busy)].receive(WHOLE if event == "answered" else HALF)
        elif event == "model_dies" and busy:
            busy[which % len(busy)].lose(ConnectionResetError())
        elif event in ("ready", "not_ready"):
            for _ in range(3):
                self.readiness._take(Verdict(event == "ready"))
        await asyncio.sleep({"blink": 0.015, "moment": 0.9, "minute": 60.0}.get(event, 0))
        await asyncio.sleep(0)

    def check(self) -> None:
        limiter, measured = self.dispatcher.limiter, self.measurement
        assert (measured.running, measured.waiting) == (limiter.running, limiter.waiting)
        assert self.limit is None or limiter.running <= self.limit
        if limiter.waiting:
            assert measured.ready_at is None or limiter.running == self.limit
        ended = measured.completed + measured.failed + measured.refused + measured.abandoned
        assert measured.arrived == ended + measured.running + measured.waiting
        assert sum(self.dispatcher.refusals.counted.values()) == measured.refused

    async def end(self) -> None:
        for client in self.clients:
            client.lose()
        await asyncio.sleep(0)
        self.check()
        assert (self.measurement.running, self.measurement.waiting) == (0, 0)


def run(scenario: Callable[[Callable[[], float]], Awaitable[None]]) -> None:
    """Run on virtual time; the scenario gets the clock."""
    loop = looptime.new_event_loop(start=1_000.0)

    async def all_of_it() -> None:
        await scenario(loop.time)

    try:
        loop.run_until_complete(all_of_it())
    finally:
        loop.close()


@settings(max_examples=120, deadline=None)
@given(
    limit=st.none() | st.integers(1, 3),
    depth=st.integers(0, 4),
    seconds=st.sampled_from([None, 0.5, 30.0]),
    shared=st.booleans(),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 5)), max_size=40),
)
def test_no_slot_is_lost_and_every_request_is_counted_once(
    limit: int | None, depth: int, seconds: float | None, shared: bool, events: list[tuple[str, int]]
) -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(limit, depth, seconds, clock)
        bench.dispatcher.slots.shared = shared
        for event, which in events:
            await bench.happen(event, which)
            bench.check()
        await bench.end()

    run(scenario)


def test_a_refused_connection_keeps_its_slot_and_its_turn() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(1, 5, None, clock)
        for event in ("ready", "request", "request", "refused"):
            await bench.happen(event, 0)
            bench.check()
        assert (bench.measurement.running, bench.measurement.waiting) == (1, 1)
        await asyncio.sleep(0.02)
        await bench.happen("connected", 0)
        assert b"GET /work1 " in bench.upstream.transports[0].written
        await bench.happen("answered", 0)
        assert b"GET /work2 " in bench.upstream.transports[0].written
        await bench.end()

    run(scenario)


def test_a_client_that_leaves_between_two_tries_frees_its_slot_and_is_not_sent() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(1, 5, None, clock)
        for event in ("ready", "request", "request", "refused", "client_leaves"):
            await bench.happen(event, 0)
            bench.check()
        assert (bench.measurement.abandoned, bench.measurement.running, bench.measurement.waiting) == (1, 1, 0)
        await asyncio.sleep(2.0)
        await bench.happen("connected", 0)
        assert not bench.upstream.attempts
        assert [t.written.split(b" HTTP")[0] for t in bench.upstream.transports] == [b"GET /work2"]
        await bench.end()

    run(scenario)


def test_tries_to_connect_end_after_a_second_with_502() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(1, 5, None, clock)
        await bench.happen("ready", 0)
        await bench.happen("request", 0)
        began = clock()
        for _ in range(400):
            await bench.happen("refused", 0)
            await asyncio.sleep(0.005)
            if bench.measurement.failed:
                break
        assert 0.9 <= clock() - began <= 1.2
        assert bench.upstream.connects_total == 8
        assert b"502 Bad Gateway" in bench.clients[0].written
        await bench.end()

    run(scenario)


def test_everybody_in_line_expires_when_its_own_time_has_come() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(1, 5, 30.0, clock)
        began = clock()
        for seconds in (0, 10, 20):
            await asyncio.sleep(began + seconds - clock())
            await bench.happen("request", 0)
        for seconds, expected in ((29, 0), (31, 1), (41, 2), (51, 3)):
            await asyncio.sleep(began + seconds - clock())
            assert bench.measurement.refused == expected
        assert all(b"503 Service Unavailable" in client.written for client in bench.clients)
        await bench.end()

    run(scenario)


def test_time_in_line_is_not_taken_from_the_models_time() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(1, 5, None, clock)
        await bench.happen("request", 0)
        await asyncio.sleep(100)
        await bench.happen("ready", 0)
        (exchange,) = {attempt.exchange for attempt in bench.upstream.attempts}
        assert isinstance(exchange, Http1Exchange)
        assert exchange.clock_from - exchange.arrived_at >= 100
        await bench.end()

    run(scenario)


def test_retry_after_is_what_the_line_ahead_will_take() -> None:
    async def scenario(clock: Callable[[], float]) -> None:
        bench = Bench(2, 3, None, clock)
        await bench.happen("ready", 0)
        await bench.happen("request", 0)
        await bench.happen("connected", 0)
        await asyncio.sleep(10)
        await bench.happen("answered", 0)
        for _ in range(6):
            await bench.happen("request", 0)
        # Two run and three wait. Four turns (with its own) of ten seconds, two at a time.
        assert b"retry-after: 20\r\n" in bench.clients[-1].written
        await bench.end()

    run(scenario)
