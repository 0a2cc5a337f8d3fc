"""Requests at a steady rate, whatever becomes of them, and a strict account: each must get exactly one whole 200.

    python steady_load.py PORT --rate 1000 --requests 100000

is a client as clients are: a pool of kept connections, of which any idle one may be next; one that was told
`Connection: close` is given up after that answer; one that the server has closed while it was idle is found out by a
look at its socket before it is used, as urllib3 and httpcore do. A share of requests comes on a connection of its own.
What it never does is send a request again: whatever was sent and not answered is lost. Prints its account as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import time
from typing import cast

import uvloop

_TICK_SECONDS = 0.002
_PATIENCE_SECONDS = 30.0


class Account:
    """What became of all requests."""

    def __init__(self) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self.seconds: list[float] = []
        self.connections = 0
        self.told_to_close = 0
        self.closed_while_idle = 0
        self.pending: set[Connection] = set()
        self.idle: list[Connection] = []

    def summary(self, sent: int, seconds: float) -> dict[str, object]:
        """As it is printed."""
        ordered = sorted(self.seconds) or [0.0]
        return {
            "sent": sent,
            "answered": self.answered,
            "lost": len(self.lost),
            "why": self.lost[:20],
            "rate": round(sent / seconds, 1),
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
            "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 2),
            "max_ms": round(1000 * ordered[-1], 2),
            "connections": self.connections,
            "told_to_close": self.told_to_close,
            "closed_while_idle": self.closed_while_idle,
        }


class Connection(asyncio.Protocol):
    """One connection: carries a request, then goes back to the pool or ends. `alone`: it was made for one request."""

    transport: asyncio.Transport

    def __init__(self, account: Account, request: int, alone: bool) -> None:
        self._account = account
        self._alone = alone
        self._due = time.monotonic()
        self._request: int | None = request
        self._buffer = b""
        account.connections += 1
        account.pending.add(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._write()

    def take(self, request: int) -> bool:
        """Send it, unless the server has closed this connection in the meantime."""
        if self.transport.is_closing() or self._has_news():
            self._account.closed_while_idle += 1
            self.transport.abort()
            return False
        self._request = request
        self._due = time.monotonic()
        self._account.pending.add(self)
        self._write()
        return True

    def _has_news(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _write(self) -> None:
        body = b'{"inputs": [1, 2, 3]}'
        close = b"Connection: close\r\n" if self._alone else b""
        assert self._request is not None
        request = b"POST /infer HTTP/1.1\r\nHost: load\r\nX-Request-Id: %d\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self._request,
            close,
            len(body),
            body,
        )
        # Sent at once: a transport would send at the end of the loop's turn, long after the look at the socket.
        try:
            written = os.write(self.transport.get_extra_info("socket").fileno(), request)
        except OSError as error:
            self.lose(f"it could not be sent: {error}")
            return
        if written < len(request):
            self.lose(f"{written} of its {len(request)} bytes could be sent")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank or self._request is None:
            if self._request is None:
                self.lose("bytes that nobody asked for")
            return
        head = head.lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if not head.startswith(b"http/1.1 200") or body != b"%d" % self._request:
            self.lose(repr(head[:60] + b" ... " + body[:120]))
            return
        self._answered(b"\r\nconnection: close" in head)

    def _answered(self, last: bool) -> None:
        account = self._account
        account.answered += 1
        account.seconds.append(time.monotonic() - self._due)
        account.pending.discard(self)
        account.told_to_close += last and not self._alone
        self._request = None
        self._buffer = b""
        if last or self._alone:
            self.transport.close()
        else:
            account.idle.append(self)

    def lose(self, why: str) -> None:
        """Its request is lost."""
        self._account.lost.append(f"request {self._request}: {why}")
        self._account.pending.discard(self)
        self._request = None
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request is not None:
            self.lose(f"the connection ended ({exc!r}) with {self._buffer[:100]!r}")


async def connect(port: int, account: Account, request: int, *, alone: bool) -> None:
    """Send it on a new connection."""
    connection = Connection(account, request, alone)
    try:
        await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", port)
    except OSError as error:
        account.pending.discard(connection)
        account.lost.append(f"request {request}: no connection: {error}")


async def run(port: int, rate: float, requests: int, pool: int, alone: float) -> dict[str, object]:
    """Send all, wait for what is under way, and give the account."""
    account = Account()
    chance = random.Random(1)
    connecting: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    sent = 0
    while sent < requests:
        due = min(requests, int((time.monotonic() - began) * rate) + 1)
        while sent < due:
            own = chance.random() < alone
            if own or not _sent_on_a_kept_one(account, sent, chance, pool):
                task = asyncio.create_task(connect(port, account, sent, alone=own))
                connecting.add(task)
                task.add_done_callback(connecting.discard)
            sent += 1
        await asyncio.sleep(_TICK_SECONDS)
    seconds = time.monotonic() - began
    until = time.monotonic() + _PATIENCE_SECONDS
    while account.answered + len(account.lost) < sent and time.monotonic() < until:
        await asyncio.sleep(_TICK_SECONDS)
    for connection in list(account.pending):
        connection.lose("no answer")
    return account.summary(sent, seconds)


def _sent_on_a_kept_one(account: Account, request: int, chance: random.Random, pool: int) -> bool:
    """On any of the idle connections, so that each is idle for very different times; False when a new one is due."""
    idle = account.idle
    if len(idle) + len(account.pending) < pool:
        return False
    while idle:
        at = chance.randrange(len(idle))
        idle[at], idle[-1] = idle[-1], idle[at]
        if idle.pop().take(request):
            return True
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--pool", type=int, default=1_000)
    parser.add_argument("--alone", type=float, default=0.2)
    options = parser.parse_args()
    print(json.dumps(uvloop.run(run(options.port, options.rate, options.requests, options.pool, options.alone))))
