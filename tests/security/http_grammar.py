"""Requests that are nearly right: valid ones, put together from parts and then damaged."""

# ruff: noqa: E501

from __future__ import annotations

import itertools
import random

from tests.security.differential import Step

_START = (b"GET /%b HTTP/1.1", b"POST /%b HTTP/1.1", b"HEAD /%b?q=1 HTTP/1.1", b"GET http://m/%b HTTP/1.1",
          b"GET /%b HTTP/1.0", b"OPTIONS * HTTP/1.1", b"PUT http://m HTTP/1.1", b"CONNECT m:1 HTTP/1.1",
          b"GET %b HTTP/1.1", b"GET  /%b HTTP/1.1", b"PRI * HTTP/2.0", b"GET /%b HTTP/1.1 ", b"GET /%b")  # fmt: skip
_LINES = (
    b"Host: m", b"Host: n", b"host: m", b"Host:m", b"Host : m", b" Host: m", b"Host: m, n", b"Host: [::1]:80", b"Host:",
    b"Content-Length: %d", b"content-length:%d", b"Content-Length: 0%d", b"Content-Length: +%d", b"Content-Length: %d,%d",
    b"Content-Length : %d", b"Content-Length: 0", b"Content-Length: 0x%x", b"Content-Length:\t%d\t", b"Content_Length: %d",
    b"Content-Length: 18446744073709551616", b"Content-Length: %d\x00", b"Content-Length: \xc2\xb2", b"X-Content-Length: %d",
    b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: x",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding\t: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip",
    b"Transfer_Encoding: chunked", b"Connection: close", b"Connection: keep-alive", b"Connection: X-A, close, te",
    b"Connection: Content-Length", b"Connection: transfer-encoding", b"Connection: upgrade", b"Upgrade: websocket",
    b"Upgrade: h2c", b"Expect: 100-continue", b"Expect: x", b"TE: trailers", b"Trailer: x", b"X-A: ~c%d%d%d~", b"X-A: \xff\t y",
    b"X-A: y\r z", b"X-A: y\n z", b"X-A: y\r\n folded", b"X-A: y\rContent-Length: %d", b": x", b"X", b"X-\xc3: y", b"X-A:",
    b"Pilotlight-Probe: 1", b"Keep-Alive: 5", b"Proxy-Connection: close", b"X-A: y\nTransfer-Encoding: chunked", b"User-Agent: a",
    b"Cookie: a=~c%d%d%d~", b"\x00", b"X-Id: ~c%d%d%d~",
)  # fmt: skip
_SAFE_LINES = (
    b"Connection: keep-alive", b"Connection: X-A, te", b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c",
    b"Expect: 100-continue", b"TE: trailers", b"Trailer: x", b"X-A: ~c%d%d%d~", b"X-A: \xff\t y", b"X-A:", b"Keep-Alive: 5",
    b"Pilotlight-Probe: 1", b"Proxy-Connection: close", b"User-Agent: a", b"Cookie: a=~c%d%d%d~", b"X-Id: ~c%d%d%d~",
)  # fmt: skip
_BODIES = (b"", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nX-T: ~c%d%d%d~\r\n\r\n", b"hello", b"A\r\n0123456789\r\n0\r\n\r\n",
           b"0\r\nContent-Length: 5\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"6\r\nhello\r\n0\r\n\r\n",
           b"00000005\r\nhello\r\n000\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
           b"FFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n", b"5;\nhello\r\n0\r\n\r\n", b"5;\rx\r\nhello\r\n0\r\n\r\n", b"\r\n",
           b"GET /in HTTP/1.1\r\nHost: m\r\n\r\n", b"0\r\n\r\nGET /in HTTP/1.1\r\nHost: m\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n")  # fmt: skip
_BYTES = (b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x0c", b"\x85", b"\xa0", b"\xff", b"0", b"1",
          b"\r\n\r\n", b"\n\n", b"\r\r\n", b"\x7f", b"chunked", b"HTTP/1.1", b"Host: m\r\n")  # fmt: skip


def request(rng: random.Random, client: int) -> bytes:
    """One request of that client; more often than not a valid one."""
    body = rng.choice(_BODIES).replace(b"%d", b"%d" % client)
    sane = rng.random() < 0.75
    start = rng.choice(_START[:5] if sane else _START).replace(
        b"%b", b"~c%d%d%d~%d" % (client, client, client, rng.randrange(1_000))
    )
    lines = [start, b"Host: m"] if sane or rng.random() < 0.8 else [start]
    if sane and body:
        chunked = body[:1] != b"h" and body[:3] != b"GET" and body != b"\r\n" and rng.random() < 0.95
        lines.append(b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        line = rng.choice(_SAFE_LINES if sane else _LINES)
        number = client if b"~c" in line else rng.choice((0, 1, 5, len(body), len(body) + 1))
        line = line.replace(b"%d", b"%d" % number).replace(b"%x", b"%x" % number)
        lines.insert(rng.randrange(1, len(lines) + 1), line)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The same with a few bytes wrong."""
    for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 1, 2))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 0, 1, 1, 2, 8)))
        choice = rng.random()
        middle = rng.choice(_BYTES) if choice < 0.7 else b"" if choice < 0.9 else bytes([rng.randrange(256)])
        data = data[:at] + middle + data[end:]
    return data


def steps(rng: random.Random, clients: int) -> list[Step]:
    """What that many clients send: a few requests each, damaged, cut anywhere, in any order."""
    pieces: list[list[Step]] = []
    for client in range(clients):
        stream = damaged(rng, b"".join(request(rng, client) for _ in range(rng.choice((1, 2, 2, 3, 4)))))
        cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice((0, 0, 1, 3, 10))))
        edges = [0, *cuts, len(stream)]
        pieces.append([(client, stream[a:b]) for a, b in itertools.pairwise(edges) if a < b])
    order = [client for client, parts in enumerate(pieces) for _ in parts]
    rng.shuffle(order)
    return [pieces[client].pop(0) for client in order]


PARTS = (
    *(start.replace(b"%b", b"x") + b"\r\n" for start in _START),
    *(
        line.replace(b"%d", b"5").replace(b"%x", b"5") + b"\r\n"
        for line in (*_LINES, *_SAFE_LINES)
        if b"~c" not in line
    ),
    *(one.replace(b"~c%d%d%d~", b"y") for one in _BODIES),
    *_BYTES,
    *(b"GET / HTTP/1.1\r\nHost: m\r\n", b"POST / HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n") * 12,
    *(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 5\r\n\r\n", b"\r\n") * 12,
)
"""What a search may put together; the good beginnings many times, so that it often gets beyond them."""
