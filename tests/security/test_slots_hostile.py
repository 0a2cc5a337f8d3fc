"""Whoever reaches a queue proxy's admin port can bid for slots: what that costs others is bounded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from queue_proxy.shared_slots import MOST_ACTIVATORS
from tests.security.hostile_world import Client, StrictModel, World, queue_proxy, wait_for

UPGRADE = b"GET /slots HTTP/1.1\r\nHost: m\r\nConnection: upgrade\r\nUpgrade: pilotlight-slots\r\n\r\n"
HIGHEST_BID = b"waiting 1000000 0 86400.000000\n"
GRANT = rb"grant ([0-9a-f]+)\n"


class Stranger(Client):
    """Calls itself an activator; keeps what it is told."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.told = b""
        self.send(UPGRADE)
        self.hear(rb"HTTP/1.1 101 ")

    def hear(self, what: bytes) -> re.Match[bytes]:
        """Wait for the next of this that has not been heard."""
        while (found := re.search(what, self.told)) is None:
            data = self.socket.recv(65_536)
            assert data, self.told
            self.told += data
        self.told = self.told[found.end() :]
        return found


@contextlib.contextmanager
def strangers(world: World, number: int) -> Iterator[list[Stranger]]:
    """So many, connected."""
    with contextlib.ExitStack() as stack:
        connected = [Stranger(world.admin["queue_proxy"]) for _ in range(number)]
        for stranger in connected:
            stack.enter_context(stranger)
        yield connected


def test_slots_that_a_stranger_takes_and_does_not_use_go_to_who_waits() -> None:
    model = StrictModel()
    with contextlib.closing(model), queue_proxy(model.port, "--limit", "1") as world:
        for _ in range(3):  # it comes back as somebody new as well
            with strangers(world, 2) as (one, _):
                one.send(HIGHEST_BID)
                one.hear(GRANT)
                for _ in range(3):
                    assert world.good().endswith(b"ok")
                    one.send(HIGHEST_BID)


def test_a_token_that_is_brought_twice_is_one_slot() -> None:
    model = StrictModel()
    with contextlib.closing(model), queue_proxy(model.port, "--limit", "1") as world, strangers(world, 2) as (one, _):
        one.send(HIGHEST_BID)
        request = b"GET /x HTTP/1.1\r\nHost: m\r\nConnection: close\r\nPilotlight-Slot: " + one.hear(GRANT)[1]
        for _ in range(2):
            with Client(world.port) as client:
                client.send(request + b"\r\n\r\n")
                assert client.until_closed().endswith(b"ok")
        assert world.good().endswith(b"ok")


def test_more_than_so_many_are_not_connected() -> None:
    model = StrictModel()
    with contextlib.closing(model), queue_proxy(model.port, "--limit", "1") as world:
        with strangers(world, MOST_ACTIVATORS), Client(world.admin["queue_proxy"]) as late:
            late.send(UPGRADE)
            assert late.until(b"}").startswith(b"HTTP/1.1 503 ")
            assert world.good().endswith(b"ok")
        wait_for(lambda: world.metric("queue_proxy", "pilotlight_queue_proxy_slot_activators") == 0, "they are gone")
