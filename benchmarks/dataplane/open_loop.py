"""Latency at a fixed rate: requests go out evenly spaced, whether or not earlier ones were answered.

    python -m benchmarks.dataplane.open_loop PORT PATH RATE SECONDS CONNECTIONS

A closed loop sends less when answers are slow, and so leaves out what it should measure. Here a request that finds no
free connection is counted from when it was due. Plain sockets and one `select`, whose time-out is exact to
microseconds; an event loop's is not. Prints one line of JSON, in the shape of `wrk.Loaded`.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass, field

from benchmarks.dataplane.summary import quantile
from benchmarks.dataplane.wrk import Loaded

_DROPPED_SECONDS = 0.5
_CLOCK = time.perf_counter


@dataclass
class _Pool:
    """Connections, idle ones and those that wait for an answer (with the time their request counts from)."""

    request: bytes
    idle: list[socket.socket]
    busy: dict[socket.socket, float] = field(default_factory=dict)
    received: dict[socket.socket, bytes] = field(default_factory=dict)

    def send(self, counts_from: float) -> None:
        """The next request, on the connection that was idle for longest."""
        connection = self.idle.pop(0)
        self.busy[connection] = counts_from
        self.received[connection] = b""
        connection.sendall(self.request)

    def receive(self, connection: socket.socket, now: float) -> float | None:
        """Read; when the answer is whole, the seconds that it took. Raises ConnectionError for anything but a 200."""
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed")
        self.received[connection] = answer = self.received[connection] + data
        if not is_whole(answer):
            return None
        self.idle.append(connection)
        return now - self.busy.pop(connection)


def is_whole(answer: bytes) -> bool:
    """Whether head and body are there, of an answer with a length. Raises ConnectionError when it is not a 200."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    if b" 200 " not in head[:16]:
        raise ConnectionError(f"not a 200: {head[:100]!r}")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    raise ConnectionError("an answer without a length")


def measure(port: int, path: str, rate: float, seconds: float, connections: int) -> Loaded:
    """Run it. Raises OSError when an answer stays out."""
    head = f"GET {path} HTTP/1.1\r\nHost: example.default\r\n\r\n".encode()
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(connections)]
    for connection in sockets:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pool = _Pool(head, sockets)
    taken: list[float] = []
    began = _CLOCK()
    due, sent = began, 0
    while sent < rate * seconds or pool.busy:
        now = _CLOCK()
        while due <= now and sent < rate * seconds and pool.idle:
            # A little late by our own waking up is not the proxy's fault; a whole interval late is.
            pool.send(due if now - due > 1 / rate else _CLOCK())
            sent += 1
            due = began + sent / rate
        waits = due - _CLOCK() if pool.idle and sent < rate * seconds else 30.0
        readable, _, _ = select.select(list(pool.busy), [], [], max(0.0, waits))
        now = _CLOCK()
        for connection in readable:
            counts_from = pool.busy[connection]
            took = pool.receive(connection, now)
            if took is not None and counts_from - began >= _DROPPED_SECONDS:
                taken.append(took)
        if not readable and waits >= 30.0:
            raise TimeoutError("an answer stayed out for 30 s")
    for connection in sockets:
        connection.close()
    return Loaded(sent, _CLOCK() - began, 0, 0, 1e3 * quantile(taken, 0.50), 1e3 * quantile(taken, 0.99))


if __name__ == "__main__":
    _, port_text, path_text, rate_text, seconds_text, connections_text = sys.argv
    try:
        loaded = measure(int(port_text), path_text, float(rate_text), float(seconds_text), int(connections_text))
    except OSError as error:
        sys.exit(f"open loop: {error}")
    sys.stdout.write(json.dumps(asdict(loaded)) + "\n")
