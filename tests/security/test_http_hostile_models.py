"""A model that lies: its client gets an error or a visible break, and the next client gets its own answer."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from activator.messages import Endpoint, EndpointState
from tests.security.hostile_world import GOOD, Client, ScriptedModel, World, activator, queue_proxy, read_head

EVIL = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@dataclass
class Target:
    """A world in front of a model with a script."""

    world: World
    model: ScriptedModel


@pytest.fixture(scope="module", params=["queue_proxy", "activator"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    model = ScriptedModel()
    with contextlib.ExitStack() as stack:
        stack.callback(model.close)
        if request.param == "queue_proxy":
            world = stack.enter_context(queue_proxy(model.port))
        else:
            # The activator with the hostile model in a queue proxy's place: nothing between has cleaned anything.
            endpoint = Endpoint("chat-1", "127.0.0.1", model.port, model.port, EndpointState.READY)
            world = stack.enter_context(activator(tmp_path_factory.mktemp("run"), endpoint))
        assert world.good().endswith(b"good")
        yield Target(world, model)


REFUSED: dict[str, bytes] = {
    "both lengths": OK + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 4\r\ncontent-length: 5\r\n\r\nevil",
    "length in a list": OK + b"content-length: 4, 4\r\n\r\nevil",
    "length negative": OK + b"content-length: -1\r\n\r\n",
    "length too large": OK + b"content-length: 99999999999999999999\r\n\r\n",
    "coding unknown": OK + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding behind a blank": OK + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "coding for no body": b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "length for no body": b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil",
    "length of an interim answer": b"HTTP/1.1 103 Early Hints\r\ncontent-length: 4\r\n\r\nevil" + EVIL,
    "folded line": OK + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 0\n\r\n\r\n",
    "header behind a LF": OK + b"x: a\nset-cookie: evil=1\r\ncontent-length: 0\r\n\r\n",
    "header behind a CR": OK + b"x: a\rset-cookie: evil=1\r\ncontent-length: 0\r\n\r\n",
    "NUL": OK + b"x: a\x00b\r\ncontent-length: 0\r\n\r\n",
    "no colon": OK + b"x\r\ncontent-length: 0\r\n\r\n",
    "name not a token": OK + b"x y: a\r\ncontent-length: 0\r\n\r\n",
    "Connection names the length": OK + b"connection: content-length\r\ncontent-length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\n\r\n",
    "version 2": b"HTTP/2 200\r\n\r\n",
    "version 0.9": b"<html>evil</html>\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: m\r\n\r\n",
    "protocol changed unasked": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + EVIL,
    "too many lines": OK + b"x: y\r\n" * 200 + b"\r\n",
    "head without an end": OK + b"x: " + b"y" * 100_000,
    "first chunk bad": CHUNKED + b"zz\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_could_be_read_in_two_ways_becomes_a_502(target: Target, name: str) -> None:
    target.model.script = lambda connection: connection.sendall(REFUSED[name])
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\n\r\n")
        head = client.until(b"}")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"evil=" not in head
        # The client did nothing wrong: its connection stays.
        client.send(b"GET /good HTTP/1.1\r\nHost: m\r\n\r\n")
        assert client.until(b"good") == GOOD
    assert target.world.good().endswith(b"\r\n\r\ngood")


CUT: dict[str, tuple[bytes, bytes]] = {
    "length not reached": (OK + b"content-length: 9\r\n\r\nevil", b"evil"),
    "chunks without an end": (CHUNKED + b"4\r\nevil\r\n", b"4\r\nevil\r\n"),
    "chunk cut off": (CHUNKED + b"9\r\nevil", b"9\r\nevil"),
}


@pytest.mark.parametrize("name", CUT)
def test_an_answer_that_breaks_off_looks_broken_off(target: Target, name: str) -> None:
    data, body = CUT[name]

    def script(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    target.model.script = script
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\n\r\n")
        assert client.until_closed().endswith(b"\r\n\r\n" + body)
    assert target.world.good().endswith(b"\r\n\r\ngood")


@pytest.mark.parametrize("bad", [b"zz\r\n", b"1\nX\r\n", b"4\r\nevilX", b"0\r\nset-cookie: a\r\n\r\n"])
def test_chunks_that_go_wrong_later_are_cut_before_the_wrong_byte(target: Target, bad: bytes) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(CHUNKED + b"4\r\nfine\r\n")
        began.wait()
        connection.sendall(bad)
        connection.recv(1)

    began = _Signal()
    target.model.script = script
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\n\r\n")
        client.until(b"fine\r\n")
        began.send()
        assert client.until_closed() == b""
    assert target.world.good().endswith(b"\r\n\r\ngood")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: 4\r\n\r\nmine" + EVIL,
        CHUNKED + b"4\r\nmine\r\n0\r\n\r\n" + EVIL,
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n" + EVIL,
    ],
    ids=["length", "chunks", "no body"],
)
def test_what_follows_an_answer_goes_to_nobody(target: Target, answer: bytes) -> None:
    target.model.script = lambda connection: connection.sendall(answer)
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\n\r\nGET /good HTTP/1.1\r\nHost: m\r\n\r\n")
        received = client.until(b"good")
        assert b"evil" not in received
        assert received.endswith(GOOD)
    for _ in range(3):
        assert target.world.good().endswith(b"\r\n\r\ngood")


def test_a_connection_with_an_answer_to_nobody_is_not_used_again(target: Target) -> None:
    idle, closed = _Signal(), _Signal()

    def script(connection: socket.socket) -> None:
        connection.sendall(OK + b"content-length: 4\r\n\r\nmine")
        idle.wait()
        connection.sendall(EVIL)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
        closed.send()

    target.model.script = script
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\n\r\n")
        client.until(b"mine")
        idle.send()
        closed.wait()
        client.send(b"GET /good HTTP/1.1\r\nHost: m\r\n\r\n")
        assert client.until(b"good") == GOOD
    assert target.world.good().endswith(b"\r\n\r\ngood")


def test_interim_answers_have_an_end(target: Target) -> None:
    def script(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)

    target.model.script = script
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\n\r\n")
        received = client.until(b"}")
        statuses = re.findall(rb"HTTP/1\.1 (\d\d\d) ", received)
        assert statuses[-1] == b"502"
        assert set(statuses[:-1]) == {b"102"}
        assert len(received) < 100_000
    assert target.world.good().endswith(b"\r\n\r\ngood")


def test_what_is_behind_an_accepted_upgrade_is_no_request_of_ours(target: Target) -> None:
    tunnel = b"GET /inside HTTP/1.1\r\nHost: m\r\nX : y\r\n\r\n\x00"
    heads: list[bytes] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        heads.append(read_head(connection) + connection.recv(1))
        connection.sendall(EVIL + b"\x00end")
        connection.shutdown(socket.SHUT_RDWR)

    target.model.script = script
    with Client(target.world.port) as client:
        client.send(b"GET /evil HTTP/1.1\r\nHost: m\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + tunnel)
        assert client.until_closed().endswith(EVIL + b"\x00end")
    assert heads == [tunnel]
    assert target.world.good().endswith(b"\r\n\r\ngood")


class _Signal:
    """One thread waits until another says so."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()

    def send(self) -> None:
        self._near.sendall(b"x")
        self._near.close()

    def wait(self) -> None:
        self._far.recv(1)
        self._far.close()
