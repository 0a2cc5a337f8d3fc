"""A dispatcher with the real engine around it, on a clock, timers and connections that a test drives by hand."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping
from itertools import count
from types import MappingProxyType

from activator.comments import WaitComments
from activator.dispatch import Dispatcher
from activator.endpoint_load import EndpointLoad
from activator.messages import Endpoint, EndpointState, HoldBounds, Precedence, Route, Timeouts
from activator.recorder import Recorder
from activator.surroundings import Surroundings
from queue_proxy.http import HttpServer, Upstream
from queue_proxy.measurement import Measurement
from tests.unit.http_engine.http_fakes import FakeTransport, FakeUpstream, connect

BOUNDS = HoldBounds(requests=100, bytes=200_000, no_endpoint_seconds=60.0, full_seconds=20.0)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class VirtualTimers:
    """An event loop's timers on virtual time; nothing happens unless the test lets time pass."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._numbers = count()
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []

    def clock(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, callback, (), asyncio.get_running_loop())
        heapq.heappush(self._due, (self.now + delay, next(self._numbers), handle))
        return handle

    def call_soon(self, callback: Callable[[], object], /) -> asyncio.Handle:
        return self.call_later(0.0, callback)

    def pass_time(self, seconds: float = 0.0) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            at, _, handle = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if not handle.cancelled():
                handle._run()
        self.now = end


class Client:
    """One client on a connection of its own."""

    def __init__(self, transport: FakeTransport) -> None:
        self.transport = transport

    @property
    def answered(self) -> bytes:
        return self.transport.written

    @property
    def statuses(self) -> list[bytes]:
        """Status of each answer that came."""
        parts = self.answered.split(b"HTTP/1.1 ")[1:]
        return [part[:3] for part in parts]

    def leave(self) -> None:
        self.transport.lose()


class World:
    """One service."""

    def __init__(self, comment_seconds: float = 5.0) -> None:
        self.timers = VirtualTimers()
        self.wakes: list[float] = []
        self.upstreams: dict[int, FakeUpstream] = {}
        self.asked: list[EndpointLoad] = []
        measurement = Measurement("activator/test", "epoch", self.timers.now)
        around = Surroundings(
            timers=self.timers,
            clock=self.timers.clock,
            comments=WaitComments(self.timers, self.timers.clock, comment_seconds),
            wake=lambda service: self.wakes.append(self.timers.now),
            unproven=self._unproven,
            body_bytes=65_536,
            upstream=self._upstream,
        )
        self.dispatcher = Dispatcher("default/chat", measurement, Recorder(), around)
        self.server = HttpServer(self.dispatcher, clock=self.timers.clock)

    def route(
        self,
        *states: EndpointState,
        capacity: int = 0,
        hold: HoldBounds = BOUNDS,
        precedence: Precedence = Precedence(),  # noqa: B008
    ) -> None:
        """A table: endpoint number n has the n-th state."""
        endpoints = tuple(
            Endpoint(f"chat-{n}", "127.0.0.1", 9_000 + n, 9_500 + n, state) for n, state in enumerate(states)
        )
        self.dispatcher.route(
            Route("default/chat", 80, endpoints, capacity, hold, Timeouts(0.0, 0.0, 0.0), 30.0, precedence)
        )

    def send(
        self, path: str = "/v1/work", body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
    ) -> Client:
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "host: x"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"content-length: {len(body)}")
        transport = connect(self.server)
        transport.receive("\r\n".join([*lines, "", ""]).encode() + body)
        return Client(transport)

    def load(self, number: int) -> EndpointLoad:
        return next(x for x in self.dispatcher.endpoints.all() if x.endpoint.port == 9_000 + number)

    def dialled(self, number: int) -> int:
        """How many connections to that endpoint are being made."""
        return len(self.upstreams[9_000 + number].attempts) if 9_000 + number in self.upstreams else 0

    def accept(self, number: int) -> FakeTransport:
        """That endpoint accepts the next connection."""
        return self.upstreams[9_000 + number].connect_next()

    def refuse(self, number: int) -> None:
        """That endpoint refuses the next connection."""
        self.upstreams[9_000 + number].refuse_next()

    def _unproven(self, service: str) -> None:
        self.asked = self.dispatcher.endpoints.unproven()

    def _upstream(self, host: str, port: int) -> Upstream:
        upstream = self.upstreams.get(port)
        if upstream is None:
            # Its time stands still: an idle connection that ages is asked for its socket, and these have none.
            upstream = self.upstreams[port] = FakeUpstream(lambda: 0.0)
        return upstream
