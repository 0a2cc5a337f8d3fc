"""The real processes between raw sockets: a queue proxy or an activator, clients that send bytes, models that do.

Nothing here is asynchronous: a hostile peer is a few blocking calls, and each model's connection has a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from activator.messages import Endpoint, EndpointState
from tests.integration.activator.activator_harness import SERVICE, Controller
from tests.security.strict_http import Request, StrictError, StrictReader

SECONDS = 15.0
"""How long anything may take before a test fails."""


class Model:
    """Serves each connection in a thread with `serve`; `port` is where."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def serve(self, connection: socket.socket) -> None:
        """Until the connection's end."""
        raise NotImplementedError

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._connections.add(connection)
                thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.serve(connection)
        self._connections.discard(connection)


class StrictModel(Model):
    """Answers each request that a strict reader sees with `ok`; keeps what it saw and what it could not read."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[str] = []
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        reader = StrictReader()
        while data := connection.recv(65_536):
            try:
                for request in reader.feed(data):
                    self.requests.append(request)
                    connection.sendall(OK_HEAD if request.method == b"HEAD" else OK_HEAD + b"ok")
            except StrictError as error:
                self.faults.append(f"{error}: {data!r}")
                return


OK_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class ScriptedModel(Model):
    """Hands each connection, with the first request's head read, to `script`; targets under /good get `good`."""

    def __init__(self) -> None:
        self.script: Callable[[socket.socket], None] = lambda connection: None
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        while head := read_head(connection):
            if head.split(b" ")[1].startswith(b"/good"):
                connection.sendall(GOOD)
            else:
                self.script(connection)


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"


def read_head(connection: socket.socket) -> bytes:
    """Until the blank line; empty at the connection's end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


class Client:
    """One raw connection."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """A peer that has closed already is not our fault."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def reset(self) -> None:
        """Leave without a good-bye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def until_closed(self) -> bytes:
        """All that comes until the other side ends, in whichever way. Raises TimeoutError when it does not."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65_536):
                received += data
        return received

    def until(self, end: bytes) -> bytes:
        """All that comes up to `end`."""
        received = b""
        while not received.endswith(end):
            data = self.socket.recv(65_536)
            if not data:
                raise AssertionError(f"closed after {received!r}")
            received += data
        return received


@dataclass
class World:
    """`port` takes requests for what is behind; `admin` are the admin ports of `processes`, by name."""

    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    admin: dict[str, int] = field(default_factory=dict)

    def rss(self) -> int:
        """Bytes of memory of all its processes."""
        return sum(_resident(process.pid) for process in self.processes.values())

    def good(self, path: str = "/good") -> bytes:
        """What a decent client gets now."""
        return ask(self.port, path)

    def metric(self, process: str, name: str) -> float:
        page = ask(self.admin[process], "/metrics").decode()
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)\s*$", page, re.MULTILINE)
        assert values, f"there is no {name}"
        return sum(map(float, values))


def ask(port: int, path: str, *headers: str) -> bytes:
    """The whole answer to a decent request."""
    with Client(port) as client:
        client.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: m", "Connection: close", *headers, "", ""]).encode())
        return client.until_closed()


def _resident(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4096


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Ask again and again what another process makes true."""
    ends = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < ends, f"still not: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def queue_proxy(model_port: int, *flags: str) -> Iterator[World]:
    """A queue proxy whose model is ready."""
    with _process("queue_proxy", "--name", "chat-1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                  "--upstream", f"127.0.0.1:{model_port}", *flags) as (process, said):  # fmt: skip
        ports = re.search(r"requests on \S+:(\d+), admin on \S+:(\d+)", said)
        assert ports is not None, said
        world = World(int(ports[1]), {"queue_proxy": process}, {"queue_proxy": int(ports[2])})
        assert b" 200 " in ask(world.admin["queue_proxy"], "/ready?wait=10")
        yield world


@contextlib.contextmanager
def activator(directory: Path, endpoint: Endpoint | None, *flags: str) -> Iterator[World]:
    """An activator with one endpoint that is ready, or none."""
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_controller(directory / "control.sock", endpoint))
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        process, said = stack.enter_context(
            _process("activator", "--name", "one", "--control", f"unix:{path}", "--admin", "127.0.0.1:0",
                     "--listen", f"{SERVICE}=fd:{listening.fileno()}", *flags, pass_fd=listening.fileno())
        )  # fmt: skip
        ports = re.search(r"admin on \S+:(\d+)", said)
        assert ports is not None, said
        yield World(listening.getsockname()[1], {"activator": process}, {"activator": int(ports[1])})


@contextlib.contextmanager
def activator_and_queue_proxy(directory: Path, model_port: int) -> Iterator[World]:
    """What a client meets in a cluster: an activator, behind it a queue proxy, behind that the model."""
    with queue_proxy(model_port) as inner:
        endpoint = Endpoint("chat-1", "127.0.0.1", inner.port, inner.admin["queue_proxy"], EndpointState.READY)
        with activator(directory, endpoint) as outer:
            assert b" 200 " in outer.good("/first")
            yield World(outer.port, {**inner.processes, **outer.processes}, {**inner.admin, **outer.admin})


@contextlib.contextmanager
def _process(module: str, *arguments: str, pass_fd: int | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process and its first line; fails if it says that something of ours broke, or is gone before its time."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stderr=subprocess.PIPE,
        pass_fds=() if pass_fd is None else (pass_fd,),
    )
    assert process.stderr is not None
    try:
        said = process.stderr.readline().decode()
        yield process, said
        assert process.poll() is None, f"{module} has ended with {process.returncode}"
    finally:
        process.kill()
        noise = process.stderr.read().decode()
        process.stderr.close()
        process.wait()
    assert "Traceback" not in noise, noise


@contextlib.contextmanager
def _controller(path: Path, endpoint: Endpoint | None) -> Iterator[Path]:
    """The controller's side of the link, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    controller = Controller(path)

    def run(what: object) -> None:
        asyncio.run_coroutine_threadsafe(what, loop).result(SECONDS)  # type: ignore[arg-type]

    try:
        run(controller.start())
        run(controller.route(*(() if endpoint is None else (endpoint,))))
        yield path
    finally:
        run(controller.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()
