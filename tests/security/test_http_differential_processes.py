"""The same damaged requests through the real processes: the model sees what a strict reader sees in the same bytes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from tests.security import http_grammar
from tests.security.differential import DifferenceError, compare
from tests.security.hostile_world import Client, StrictModel, World, activator_and_queue_proxy, queue_proxy
from tests.security.strict_http import Request, StrictError, StrictReader

CASES = 1_000


@pytest.fixture(params=["queue_proxy", "activator"])
def world_and_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, StrictModel]]:
    model = StrictModel()
    with contextlib.closing(model):
        if request.param == "queue_proxy":
            made = queue_proxy(model.port)
        else:
            made = activator_and_queue_proxy(tmp_path_factory.mktemp("run"), model.port)
        with made as world:
            yield world, model


def exchange(port: int, stream: bytes, answers: int) -> bytes:
    """Send all of it in two pieces; what comes until that many answers are there, or nothing comes any more."""
    received = b""
    with Client(port) as client:
        half = len(stream) // 2
        client.send(stream[:half])
        client.send(stream[half:])
        client.socket.settimeout(0.1)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while received.count(b"HTTP/1.1 200 ") < answers:
                data = client.socket.recv(65_536)
                if not data:
                    break
                received += data
    return received


def is_among(ours: Request, sent: list[Request]) -> bool:
    """Whether it is one of those that were sent; that one is taken out."""
    for at, direct in enumerate(sent):
        with contextlib.suppress(DifferenceError):
            compare(ours, direct)
            del sent[at]
            return True
    return False


def test_the_model_sees_what_a_strict_reader_sees(world_and_model: tuple[World, StrictModel]) -> None:
    world, model = world_and_model
    sent: list[Request] = []
    checked = len(model.requests)
    first = checked
    for seed in range(CASES):
        stream = b"".join(data for _, data in http_grammar.steps(random.Random(seed), 1))
        direct = StrictReader(forgives=True)
        with contextlib.suppress(StrictError):
            direct.feed(stream)
        # Of a client that is refused, the model may see the last request only later; so those before count, too.
        sent = [*sent, *direct.requests][-50:]
        exchange(world.port, stream, len(direct.requests))
        assert model.faults == [], f"seed {seed}: {stream!r}"
        for request in model.requests[checked:]:
            assert is_among(request, sent), f"seed {seed}: {request} from {stream!r}"
            checked += 1
    assert checked - first > CASES // 4
