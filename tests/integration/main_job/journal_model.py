"""A model server for tests that writes down everything that reaches it.

Each line of the journal is `<monotonic seconds> <pid> <event> <detail>`; events are `ready` (a readiness probe was
answered with 200), `arrived` and `answered` (with the request's X-Request-Id). One write per line with O_APPEND, so
that several replicas can share one journal and nothing is lost when one of them is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time


class Journal:
    """Appends events; the file may be shared with other processes."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._pid = os.getpid()

    def write(self, event: str, detail: str) -> None:
        os.write(self._file, f"{time.monotonic():.6f} {self._pid} {event} {detail}\n".encode())


class Connection(asyncio.Protocol):
    """Just enough HTTP/1.1 for requests with a Content-Length, one after the other on a connection."""

    def __init__(self, journal: Journal, service_seconds: float) -> None:
        self._journal = journal
        self._service_seconds = service_seconds
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        headers = {}
        first, *lines = head.split(b"\r\n")
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get(b"content-length", b"0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if first.split(b" ")[1].endswith(b"/ready"):
            self._journal.write("ready", "-")
            self._answer({"ready": True})
            return
        request = headers.get(b"x-request-id", b"-").decode("ascii", "replace")
        self._journal.write("arrived", request)
        asyncio.get_running_loop().call_later(self._service_seconds, self._finish, request)

    def _finish(self, request: str) -> None:
        self._answer({"request": request, "pid": os.getpid()})
        self._journal.write("answered", request)

    def _answer(self, body: dict[str, object]) -> None:
        payload = json.dumps(body).encode()
        assert self._transport is not None
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(payload), payload)
        )


async def serve(port: int, journal: Journal, load_seconds: float, service_seconds: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await asyncio.sleep(load_seconds)  # stands for loading weights: the port is closed meanwhile
    server = await loop.create_server(lambda: Connection(journal, service_seconds), "127.0.0.1", port, backlog=4096)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--load-seconds", type=float, default=0.0)
    parser.add_argument("--service-seconds", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(serve(options.port, Journal(options.journal), options.load_seconds, options.service_seconds))


if __name__ == "__main__":
    main()
