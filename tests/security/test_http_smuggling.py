"""What a proxy must not let through: requests that somebody before or behind it may read in another way.

Every entry is sent over a real socket to a real engine; the model behind it must not see a byte of it.
"""

from __future__ import annotations

import asyncio
import re

import pytest

from queue_proxy.http import HttpLimits
from tests.integration.http_engine.http_world import HELLO, World

H = b"Host: m\r\n"
G = b"GET / HTTP/1.1\r\n" + H
P = b"POST / HTTP/1.1\r\n" + H
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: dict[str, tuple[bytes, int]] = {
    "length and chunked": (P + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", 400),
    "chunked and length": (P + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX", 400),
    "two lengths": (P + b"Content-Length: 0\r\nContent-Length: 9\r\n\r\n", 400),
    "the same length twice": (P + b"Content-Length: 1\r\ncontent-length: 1\r\n\r\nX", 400),
    "list of lengths": (P + b"Content-Length: 1, 1\r\n\r\nX", 400),
    "signed length": (P + b"Content-Length: +1\r\n\r\nX", 400),
    "negative length": (P + b"Content-Length: -1\r\n\r\nX", 400),
    "hexadecimal length": (P + b"Content-Length: 0x1\r\n\r\nX", 400),
    "length with a blank": (P + b"Content-Length: 1 0\r\n\r\nX", 400),
    "empty length": (P + b"Content-Length: \r\n\r\nX", 400),
    "length in other digits": (P + "Content-Length: ١\r\n\r\nX".encode(), 400),
    "length beyond 64 bits": (P + b"Content-Length: 99999999999999999999\r\n\r\nX", 400),
    "coding unknown": (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "coding misspelt": (P + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "coding twice": (P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "coding identity": (P + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "coding with a vertical tab": (P + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    "coding quoted": (P + b'Transfer-Encoding: "chunked"\r\n\r\n', 501),
    "coding behind a blank": (P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "coding on a folded line": (P + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding behind a bare CR": (P + b"X: y\rTransfer-Encoding: chunked\r\n\r\n", 400),
    "coding behind a bare LF": (P + b"X: y\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF everywhere": (b"GET / HTTP/1.1\nHost: m\n\n", 400),
    "LF before CR LF CR LF": (b"GET / HTTP/1.1\r\nHost: m\n\r\n\r\n", 400),
    "CR without LF": (b"GET / HTTP/1.1\rHost: m\r\r\n\r\n", 400),
    "NUL in a value": (G + b"X: a\x00b\r\n\r\n", 400),
    "NUL in a name": (G + b"X\x00: a\r\n\r\n", 400),
    "DEL in a value": (G + b"X: \x7f\r\n\r\n", 400),
    "no name": (G + b": a\r\n\r\n", 400),
    "no colon": (G + b"X\r\n\r\n", 400),
    "name not ASCII": (G + b"X\xff: a\r\n\r\n", 400),
    "first line folded": (b"GET / HTTP/1.1\r\n " + H + b"\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (G + H + b"\r\n", 400),
    "two different Hosts": (G + b"Host: other\r\n\r\n", 400),
    "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nHost: m/x\r\n\r\n", 400),
    "Host with credentials": (b"GET / HTTP/1.1\r\nHost: a@m\r\n\r\n", 400),
    "Host with a comma": (b"GET / HTTP/1.1\r\nHost: m, n\r\n\r\n", 400),
    "target names another host": (b"GET http://other/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target with credentials": (b"GET http://m@m/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target of another scheme": (b"GET https://m/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target without a slash": (b"GET x HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target with a blank": (b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target with a fragment": (b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target with a tab": (b"GET /a\tb HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target not ASCII": (b"GET /\xc3\xa4 HTTP/1.1\r\n" + H + b"\r\n", 400),
    "star for GET": (b"GET * HTTP/1.1\r\n" + H + b"\r\n", 400),
    "CONNECT": (b"CONNECT m:443 HTTP/1.1\r\n" + H + b"\r\n", 405),
    "CONNECT with a path": (b"CONNECT / HTTP/1.1\r\n" + H + b"\r\n", 405),
    "method with a blank": (b"GE T / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "method missing": (b" / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "two blanks": (b"GET  / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "tab for a blank": (b"GET\t/\tHTTP/1.1\r\n" + H + b"\r\n", 400),
    "no version": (b"GET /\r\n" + H + b"\r\n", 400),
    "version in lower case": (b"GET / http/1.1\r\n" + H + b"\r\n", 400),
    "version with more digits": (b"GET / HTTP/1.10\r\n" + H + b"\r\n", 400),
    "version 1.2": (b"GET / HTTP/1.2\r\n" + H + b"\r\n", 505),
    "version 0.9": (b"GET / HTTP/0.9\r\n" + H + b"\r\n", 505),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "two empty lines first": (b"\r\n\r\nGET / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "blank first": (b" GET / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "Connection names Host": (G + b"Connection: host\r\n\r\n", 400),
    "Connection names the length": (P + b"Content-Length: 1\r\nConnection: Content-Length\r\n\r\nX", 400),
    "Connection names the coding": (P + b"Connection: close, transfer-encoding\r\n\r\n", 400),
    "Connection is not a list": (G + b"Connection: a b\r\n\r\n", 400),
    "Expect unknown": (P + b"Expect: the-unexpected\r\nContent-Length: 1\r\n\r\nX", 417),
    "chunk size with a sign": (CHUNKED + b"+1\r\nX\r\n0\r\n\r\n", 400),
    "chunk size too large": (CHUNKED + b"1000000000000000F\r\nX", 400),
    "chunk ends with LF": (CHUNKED + b"1\nX\r\n0\r\n\r\n", 400),
    "chunk longer than said": (CHUNKED + b"1\r\nXY\r\n0\r\n\r\n", 400),
    "trailer is a length": (CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n", 400),
    "line too long": (G + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
    "target too long": (b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n", 431),
    "head without an end": (b"GET /" + b"y" * 9000, 431),
    "too many lines": (G + b"X: y\r\n" * 200 + b"\r\n", 431),
}  # fmt: skip


async def answer_to(data: bytes, *, cut: bool) -> tuple[bytes, World]:
    """What the engine answers until it closes, and the world in which it did."""
    world = World()
    await world.start()
    world.dispatcher.hold = True
    try:
        client = await world.client()
        if cut:
            # Byte by byte where it matters; the filling of overlong heads in one piece.
            for at in range(0, len(data), max(1, len(data) // 200)):
                client.send(data[at : at + max(1, len(data) // 200)])
                await asyncio.sleep(0)
        else:
            client.send(data)
        return await client.rest(), world
    finally:
        await world.stop()


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_could_be_read_in_two_ways_is_refused_and_never_forwarded(
    data: bytes, status: int, cut: bool
) -> None:
    answer, world = await answer_to(data, cut=cut)
    assert re.findall(rb"HTTP/1.1 (\d\d\d) ", answer) == [b"%d" % status]
    assert b"connection: close\r\n" in answer
    # A body can break off after its head has arrived; then whoever decides is told that it is gone.
    assert len(world.dispatcher.held) <= (1 if cut and data.startswith(CHUNKED) else 0)
    assert world.dispatcher.left == world.dispatcher.held
    counted = world.server.oversize_total if status == 431 else world.server.malformed_total
    assert counted == 1


async def test_nothing_behind_a_refused_request_is_served() -> None:
    evil = b"GET / HTTP/1.1\r\nHost: m\r\nX : y\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: m\r\n\r\n"
    answer, world = await answer_to(evil, cut=False)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert world.dispatcher.slots == []


async def test_a_body_is_never_read_as_a_request() -> None:
    world = World()
    await world.start()
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            if head.startswith(b"POST"):
                await reader.readexactly(len(inner))
            writer.write(HELLO)

    inner = b"GET /inner HTTP/1.1\r\nHost: m\r\n\r\n"
    world.model = script
    client = await world.client()
    client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
    assert await client.exactly(len(HELLO)) == HELLO
    client.send(b"GET /next HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n")
    await client.rest()
    assert [head.split(b" ")[1] for head in heads] == [b"/", b"/next"]
    await world.stop()


async def test_an_upgrade_to_http_2_opens_no_tunnel() -> None:
    world = World()
    await world.start()
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        await reader.read()

    world.model = script
    client = await world.client()
    client.send(
        b"GET / HTTP/1.1\r\n"
        + H
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    assert heads == [b"GET / HTTP/1.1\r\nHost: m\r\n\r\n"]
    await world.stop()


async def test_slow_heads_do_not_hold_a_connection_for_ever() -> None:
    world = World()
    await world.start()
    world.use(limits=HttpLimits(head_seconds=0.3, linger_seconds=0.2))
    client = await world.client()
    for byte in b"GET / HTTP/1.1\r\n":
        client.send(bytes([byte]))
        await asyncio.sleep(0.03)
    assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
    assert world.server.slow_heads_total == 1
    await world.stop()
