"""What attackers can make the real processes hold: connections, slots and memory, each within a stated bound."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from activator.messages import Endpoint, EndpointState
from queue_proxy.http.read_ahead import MOST_READ_AHEAD_BYTES
from tests.security.hostile_world import (
    Client,
    Model,
    ScriptedModel,
    StrictModel,
    World,
    activator,
    ask,
    queue_proxy,
    read_head,
    wait_for,
)

CONNECTIONS = 200
MIB = 2**20

HEAD_BYTES = 65_536
WAITING_BYTES = 65_536
READ_BYTES = 262_144
"""The largest piece that is read at once; it comes on top of whatever bound it exceeds."""
SLACK = 12 * MIB
"""What a process needs for that many connections themselves, and what its allocator keeps."""

LARGE = b"POST /large HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
Start = Callable[..., contextlib.AbstractContextManager[World]]


class Stuck(Model):
    """Reads a head and then nothing more, and answers nothing."""

    def __init__(self) -> None:
        self.heads = 0
        self.gone = threading.Event()
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        if read_head(connection):
            self.heads += 1
            self.gone.wait()

    def close(self) -> None:
        self.gone.set()
        super().close()


@pytest.fixture(params=["queue_proxy", "activator"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Starts that process in front of a model's port, with flags about clients."""

    def start_activator(port: int, *flags: str) -> contextlib.AbstractContextManager[World]:
        return activator(tmp_path, Endpoint("chat-1", "127.0.0.1", port, port, EndpointState.READY), *flags)

    return queue_proxy if request.param == "queue_proxy" else start_activator


@contextlib.contextmanager
def many(port: int, data: bytes, number: int = CONNECTIONS) -> Iterator[list[Client]]:
    """That many connections, each of which has sent as much of `data` as is taken, and reads nothing."""
    clients = [Client(port, receive_buffer=4_096) for _ in range(number)]
    try:
        left = dict.fromkeys(clients, memoryview(data))
        ends = time.monotonic() + 10
        while left and time.monotonic() < ends:
            sent = False
            for client, rest in list(left.items()):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    size = client.socket.send(rest, socket.MSG_DONTWAIT)
                    sent = sent or size > 0
                    left[client] = rest[size:]
                    if size == len(rest):
                        del left[client]
            if not sent:
                ends = min(ends, time.monotonic() + 0.2)
                time.sleep(0.01)
        yield clients
    finally:
        for client in clients:
            client.reset()


def assert_grew_by_less(world: World, before: int, bound: int) -> None:
    grown = world.rss() - before
    assert grown < bound, f"grew by {grown / MIB:.1f} MiB, the bound is {bound / MIB:.1f} MiB"


def test_heads_without_an_end_take_no_more_than_a_head_each(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port) as world:
        before = world.rss()
        with many(world.port, b"GET / HTTP/1.1\r\nX: " + b"y" * (HEAD_BYTES - 100)):
            assert_grew_by_less(world, before, CONNECTIONS * HEAD_BYTES + SLACK)
            assert world.good().endswith(b"ok")


def test_connections_that_say_nothing_take_little(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port) as world:
        before = world.rss()
        with many(world.port, b"", 1_000):
            assert world.good().endswith(b"ok")
            assert_grew_by_less(world, before, SLACK)


@pytest.mark.parametrize("flags", [(), ("--limit", "1", "--queue-requests", "1000")], ids=["in the model", "in line"])
def test_bodies_that_nobody_reads_stay_with_their_clients(flags: tuple[str, ...]) -> None:
    model = Stuck()
    with contextlib.closing(model), queue_proxy(model.port, *flags) as world:
        before = world.rss()
        with many(world.port, LARGE):
            # Forwarded bodies may wait twice: for the model, and as what was read when it took no more.
            assert_grew_by_less(world, before, CONNECTIONS * (2 * WAITING_BYTES + READ_BYTES) + SLACK)


def test_bodies_in_line_take_no_more_together_than_they_may() -> None:
    model = Stuck()
    flags = ("--limit", "1", "--queue-requests", "1000", "--queue-bytes", str(4 * MIB))
    with contextlib.closing(model), queue_proxy(model.port, *flags) as world:
        before = world.rss()
        with many(world.port, LARGE):
            # One is in the model; what a refused one has sent meanwhile is thrown away.
            assert_grew_by_less(world, before, 4 * MIB + 2 * WAITING_BYTES + READ_BYTES + SLACK)
            waiting = 4 * MIB // (WAITING_BYTES + READ_BYTES)
            assert world.metric("queue_proxy", "pilotlight_queue_proxy_waiting") == waiting


def test_bodies_held_for_a_model_that_sleeps_stay_with_their_clients(tmp_path: Path) -> None:
    with activator(tmp_path, None) as world:
        before = world.rss()
        with many(world.port, LARGE):
            assert_grew_by_less(world, before, CONNECTIONS * (WAITING_BYTES + READ_BYTES) + SLACK)


def test_requests_sent_ahead_stay_with_their_clients(start: Start) -> None:
    model = Stuck()
    with contextlib.closing(model), start(model.port) as world:
        before = world.rss()
        with many(world.port, b"GET /x HTTP/1.1\r\nHost: m\r\n\r\n" * 40_000):
            assert_grew_by_less(world, before, MOST_READ_AHEAD_BYTES + SLACK)


def test_answers_of_our_own_that_nobody_reads_are_not_piled_up_and_starve_nobody(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port) as world:
        before = world.rss()
        with many(world.port, b"GET /x HTTP/1.1\r\nHost: m\r\nPilotlight-Probe: 1\r\n\r\n" * 20_000, 50):
            assert_grew_by_less(world, before, 50 * (2 * WAITING_BYTES + READ_BYTES) + SLACK)
            assert world.good().endswith(b"ok")


def test_answers_that_nobody_reads_stay_with_the_model(start: Start) -> None:
    model = ScriptedModel()

    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x" * 100_000)

    model.script = script
    with contextlib.closing(model), start(model.port) as world:
        before = world.rss()
        with many(world.port, b"GET /large HTTP/1.1\r\nHost: m\r\n\r\n", 100):
            time.sleep(1.0)
            # That the client takes no more is known at the end of a turn of the loop, in which more than one read fits.
            assert_grew_by_less(world, before, 100 * (WAITING_BYTES + 3 * READ_BYTES) + SLACK)
            assert world.good().endswith(b"good")


def test_names_of_headers_are_not_collected(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port) as world:
        before = world.rss()
        with Client(world.port) as client:
            for number in range(300):
                line = b"n%d" % number + b"x" * 60_000 + b": y\r\n"
                client.send(b"GET /x HTTP/1.1\r\nHost: m\r\nPilotlight-Probe: 1\r\n" + line + b"\r\n")
                client.until(b"}" if "activator" in world.processes else b"ready\n")
        assert_grew_by_less(world, before, SLACK)


def test_a_head_that_does_not_end_is_answered_in_time(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port, "--head-seconds", "0.5") as world:
        clients = [Client(world.port) for _ in range(3)]
        clients[0].send(b"GET /\r\n")  # as in HTTP/0.9
        for number in range(20):
            for client in clients[1:]:
                client.send(b"GET / HTTP/1.1\r\nX: yyyyyyyyyyyyy"[number : number + 1])
            time.sleep(0.02)
        for client in clients:
            with client:
                assert client.until_closed().startswith(b"HTTP/1.1 408 ")
        assert world.good().endswith(b"ok")


def test_an_idle_connection_is_closed_in_time(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port, "--keep-alive-seconds", "0.5") as world:
        silent, served = Client(world.port), Client(world.port)
        with silent, served:
            served.send(b"GET / HTTP/1.1\r\nHost: m\r\n\r\n")
            assert served.until_closed().endswith(b"ok")
            assert silent.until_closed() == b""


def test_a_body_that_trickles_in_does_not_keep_the_model(start: Start) -> None:
    model = StrictModel()
    with contextlib.closing(model), start(model.port, "--body-seconds", "0.5") as world:
        silent, slow = Client(world.port), Client(world.port)
        with silent, slow:
            for client in (silent, slow):
                client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 100\r\n\r\n")
            for _ in range(30):
                slow.send(b"x")
                time.sleep(0.02)
            for client in (silent, slow):
                answer = client.until_closed()
                assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"408"]


def test_a_slot_is_free_again_after_a_body_that_never_came() -> None:
    model = StrictModel()
    flags = ("--limit", "1", "--body-seconds", "0.5")
    with contextlib.closing(model), queue_proxy(model.port, *flags) as world, Client(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 100\r\n\r\n")
        wait_for(lambda: world.metric("queue_proxy", "pilotlight_queue_proxy_running") == 1, "it has the slot")
        assert ask(world.port, "/next").endswith(b"ok")
        assert client.until_closed().startswith(b"HTTP/1.1 408 ")
        assert world.metric("queue_proxy", "pilotlight_queue_proxy_slow_bodies_total") == 1
