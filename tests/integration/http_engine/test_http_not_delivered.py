"""A request that a queue proxy could not deliver goes back to the activator's dispatcher; nothing else ever does."""

from __future__ import annotations

import asyncio

from queue_proxy.http import Exchange, Outcome, Upstream
from tests.integration.http_engine.http_world import GET, HELLO, Forwarding, Slot, World

MARK = b"pilotlight-not-delivered: 1\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n%bcontent-length: 4\r\n\r\nlate" % MARK
POST = b"POST /infer HTTP/1.1\r\nHost: model\r\nContent-Length: 3\r\n\r\nabc"


class SendingAgain(Forwarding):
    """Tries the same upstream once more."""

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        self.slots.append(Slot())
        exchange.forward(upstream, self.slots[-1])


class Refusing:
    """A queue proxy that could not deliver the first request; keeps what it was sent."""

    def __init__(self, first: bytes = REFUSED) -> None:
        self.first = first
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if b"Content-Length: 3" in head:
                self.bodies.append(await reader.readexactly(3))
            writer.write(self.first if len(self.heads) == 1 else HELLO)


def _take_back(world: World) -> None:
    world.dispatcher = SendingAgain(world.upstream)
    world.server.dispatcher = world.dispatcher
    world.server.takes_back = True


async def test_a_request_that_was_not_delivered_is_sent_again_whole(world: World) -> None:
    _take_back(world)
    world.model = proxy = Refusing()
    client = await world.client()
    client.send(POST)
    assert (await client.head()).startswith(b"HTTP/1.1 200")
    assert await client.exactly(5) == b"hello"
    assert proxy.bodies == [b"abc", b"abc"]
    assert proxy.heads[0] == proxy.heads[1]
    assert world.outcomes == [[Outcome.UNSENT], [Outcome.COMPLETED]]
    assert world.connections == 1  # the answer was whole, so its connection served again


async def test_a_request_without_a_body_is_sent_again(world: World) -> None:
    _take_back(world)
    world.model = Refusing()
    client = await world.client()
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 200")
    assert world.outcomes == [[Outcome.UNSENT], [Outcome.COMPLETED]]


async def test_a_body_that_is_still_on_its_way_is_not_sent_again(world: World) -> None:
    _take_back(world)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REFUSED)
        await reader.read()

    world.model = refuse
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\nHost: model\r\nContent-Length: 100000\r\n\r\nabc")
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 503")
    assert b"pilotlight" not in head
    assert world.outcomes == [[Outcome.COMPLETED]]


async def test_who_does_not_take_back_passes_the_refusal_on_without_its_mark(world: World) -> None:
    world.model = Refusing()
    client = await world.client()
    client.send(GET)
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in head
    assert b"pilotlight" not in head


async def test_an_ordinary_503_of_the_model_is_passed_on(world: World) -> None:
    _take_back(world)
    world.model = Refusing(REFUSED.replace(MARK, b""))
    client = await world.client()
    client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 503")
    assert world.outcomes == [[Outcome.COMPLETED]]
