"""What a request leaves behind: nothing that only the garbage collector could take away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from queue_proxy.dispatcher import Admission, QueueDispatcher
from queue_proxy.http import Exchange, HttpServer, RequestHead
from queue_proxy.limiter import QueueBounds
from queue_proxy.measurement import Measurement
from queue_proxy.probe_spec import default_probe
from queue_proxy.probes import Verdict
from queue_proxy.readiness import Readiness
from tests.unit.http_engine.http_fakes import FakeTransport, FakeUpstream, connect

GET = b"GET /work HTTP/1.1\r\nHost: m\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def _stands_still() -> float:
    return 1_000.0


class Bench:
    """A proxy with one slot and room for one in line, without a network, and its first connection to the model."""

    def __init__(self) -> None:
        self.upstream = FakeUpstream(_stands_still)
        readiness = Readiness(default_probe("127.0.0.1", 1), ("127.0.0.1", 1))
        measurement = Measurement("m", "e", _stands_still())
        bounds = QueueBounds(requests=1)
        self.dispatcher = QueueDispatcher(self.upstream, 1, bounds, readiness, measurement, _stands_still)
        readiness._take(Verdict(True))
        self.server = HttpServer(self.dispatcher, clock=_stands_still)
        self.client = connect(self.server)
        self.client.receive(GET)
        self.model = self.upstream.connect_next()
        self.model.receive(HELLO)

    def serve(self) -> None:
        self.client.receive(GET)
        self.model.receive(HELLO)

    def serve_after_waiting(self) -> None:
        other = self._other_client_while_busy()
        self.model.receive(HELLO)
        self.model.receive(HELLO)
        assert other.written.startswith(b"HTTP/1.1 200 ")
        other.lose()

    def leave_while_waiting(self) -> None:
        self._other_client_while_busy().lose()
        self.model.receive(HELLO)

    def refuse(self) -> None:
        waiting = self._other_client_while_busy()
        third = connect(self.server)
        third.receive(GET)
        assert third.written.startswith(b"HTTP/1.1 503 ")
        third.lose()
        waiting.lose()
        self.model.receive(HELLO)

    def _other_client_while_busy(self) -> FakeTransport:
        self.client.receive(GET)
        other = connect(self.server)
        other.receive(GET)
        return other


@pytest.mark.parametrize("serve", [Bench.serve, Bench.serve_after_waiting, Bench.leave_while_waiting, Bench.refuse])
async def test_a_request_leaves_no_cycle_behind(serve: Callable[[Bench], None]) -> None:
    bench = Bench()
    serve(bench)
    await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    try:
        before = _parts_of_requests()
        for _ in range(20):
            serve(bench)
        assert _parts_of_requests() == before
    finally:
        gc.enable()


def _parts_of_requests() -> int:
    return sum(type(thing) in (Exchange, Admission, RequestHead) for thing in gc.get_objects())
