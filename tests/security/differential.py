"""The engine between hostile clients and a strict server, in one process: do all three see the same requests?

Several clients send bytes in any cuts and any order. The server reads what the engine sends it with a reader of its
own (`strict_http`), and the same reader reads each client's bytes directly. Then must hold:

- the server never sees anything but strict requests, and exactly as many as the engine counts;
- each request that it sees has method, target, Host, headers and body of that very client's next request;
- no byte of one client is in another's request, and each gets the answers to its own requests, in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from queue_proxy.http import Exchange, HttpLimits, HttpServer, Upstream
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.http.upstream_connection import UpstreamConnection
from tests.security.strict_http import Request, StrictError, StrictReader
from tests.unit.http_engine.http_fakes import FakeLease, FakeTransport, FakeUpstream, connect

LIMITS = HttpLimits(head_bytes=4_096, header_lines=32, waiting_bytes=2_048, trailer_bytes=512)

_OF_ONE_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"te", b"proxy-authorization", b"http2-settings"}
)
_SECRET = re.compile(rb"~c(\d)\1\1~").findall

Step = tuple[int, bytes]
"""Which client sends what."""


class DifferenceError(AssertionError):
    """The readers disagree."""


@dataclass
class _Dispatcher:
    """Forwards at once, to a server that is always there."""

    upstream: FakeUpstream
    arrived: list[Http1Exchange] = field(default_factory=list)
    leases: list[FakeLease] = field(default_factory=list)

    def arrive(self, exchange: Exchange) -> None:
        assert isinstance(exchange, Http1Exchange)
        self.arrived.append(exchange)
        self.leases.append(FakeLease())
        exchange.forward(self.upstream, self.leases[-1])
        while self.upstream.attempts:
            self.upstream.connect_next()

    def abandoned(self, exchange: Exchange) -> None:
        raise DifferenceError("nobody waits here")

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        raise DifferenceError(why)


@dataclass
class _Server:
    """One connection of the strict server."""

    transport: FakeTransport
    reader: StrictReader = field(default_factory=StrictReader)
    read: int = 0
    switched: bool = False


@dataclass
class Differential:
    """One run: `play` the steps, then `check`. `switches`: the server accepts each upgrade that it is asked for."""

    clients: int
    switches: bool = False

    def __post_init__(self) -> None:
        self.upstream = FakeUpstream(lambda: 0.0)
        self.dispatcher = _Dispatcher(self.upstream)
        self.server = HttpServer(self.dispatcher, LIMITS, clock=lambda: 0.0)
        self.transports = [connect(self.server) for _ in range(self.clients)]
        self.sent = [b""] * self.clients
        self.seen: list[list[Request]] = [[] for _ in range(self.clients)]
        self.tunnels = [False] * self.clients
        self.servers: list[_Server] = []
        self.answers: list[list[bytes]] = [[] for _ in range(self.clients)]

    def play(self, steps: Sequence[Step]) -> None:
        """Send everything, and let the server answer each request as soon as it is whole."""
        for client, data in steps:
            transport = self.transports[client]
            if transport.closing or transport.paused or transport.eof_written:
                continue
            self.sent[client] += data
            transport.receive(data)
            while self._serve():
                pass

    def check(self) -> int:
        """How many requests came through. Raises DifferenceError."""
        whole = sum(exchange.request_ended for exchange in self.dispatcher.arrived)
        seen = sum(map(len, self.seen))
        if whole != seen:
            raise DifferenceError(f"the engine has sent {whole} requests, the server has seen {seen}")
        if any(len(lease.outcomes) > 1 for lease in self.dispatcher.leases):
            raise DifferenceError("a lease was released twice")
        for client in range(self.clients):
            self._check_client(client)
        return seen

    def end(self) -> None:
        """Close everything."""
        for transport in (*self.transports, *self.upstream.transports):
            transport.lose()
        self.upstream.close()

    def _serve(self) -> bool:
        """Let the server read what is there; whether anything was."""
        for transport in self.upstream.transports[len(self.servers) :]:
            self.servers.append(_Server(transport))
        return sum(self._serve_connection(server) for server in self.servers) > 0

    def _serve_connection(self, server: _Server) -> bool:
        transport = server.transport
        data = transport.written[server.read :]
        server.read += len(data)
        if not data or server.switched:
            return False
        connection = transport.protocol
        assert isinstance(connection, UpstreamConnection)
        exchange = connection.exchange
        try:
            requests = server.reader.feed(data)
        except StrictError as error:
            raise DifferenceError(f"the server was sent {data!r}: {error}") from error
        if len(requests) > 1:
            raise DifferenceError(f"one request became {len(requests)}: {data!r}")
        for request in requests:
            if not isinstance(exchange, Http1Exchange):
                raise DifferenceError(f"nobody asked {request}")
            self._answer(server, exchange, request)
        return bool(requests)

    def _answer(self, server: _Server, exchange: Http1Exchange, request: Request) -> None:
        client = next(at for at, transport in enumerate(self.transports) if transport is exchange.client.transport)
        name = b"answer %d" % sum(map(len, self.seen))
        self.seen[client].append(request)
        if self.switches and request.all(b"upgrade"):
            server.switched = self.tunnels[client] = True
            server.transport.receive(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            return
        if request.all(b"expect"):
            server.transport.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b"" if request.method == b"HEAD" else name
        server.transport.receive(b"HTTP/1.1 200 %b\r\ncontent-length: %d\r\n\r\n%b" % (name, len(name), body))
        self.answers[client].append(name)

    def _check_client(self, client: int) -> None:
        reader = StrictReader(forgives=True)
        error = ""
        try:
            reader.feed(self.sent[client])
        except StrictError as fault:
            error = str(fault)
        seen = self.seen[client]
        if len(seen) > len(reader.requests):
            raise DifferenceError(
                f"{seen[len(reader.requests)]} is no strict request of its client: {error or 'not whole'}"
            )
        for ours, direct in zip(seen, reader.requests, strict=False):
            compare(ours, direct)
            for secret in _SECRET(b" ".join((ours.target, ours.body, *(value for _, value in ours.headers)))):
                if int(secret) != client:
                    raise DifferenceError(f"client {client} has sent what belongs to {secret!r}: {ours}")
        written = self.transports[client].written
        if self.tunnels[client]:
            return
        names = re.findall(rb"HTTP/1\.1 200 (answer \d+)\r\n", written)
        if names != self.answers[client]:
            raise DifferenceError(f"client {client} got {names} instead of {self.answers[client]}")
        self._check_all_served(client, reader, error)

    def _check_all_served(self, client: int, reader: StrictReader, error: str) -> None:
        """A client that was not refused, and whose connection is still open, has no request left over."""
        transport = self.transports[client]
        if transport.closing or transport.eof_written or error:
            return
        if len(self.seen[client]) != len(reader.requests):
            raise DifferenceError(f"client {client}: {reader.requests[len(self.seen[client])]} was swallowed")


def compare(ours: Request, direct: Request) -> None:
    """Whether a request behind us is the one before us, but for what concerns one hop. Raises DifferenceError."""
    for name in ("method", "target", "version", "host", "body", "trailers"):
        if getattr(ours, name) != getattr(direct, name):
            raise DifferenceError(
                f"{name} is {getattr(ours, name)!r} behind us and {getattr(direct, name)!r} before us"
            )
    named = {
        token.strip(b" \t").lower() for value in direct.all(b"connection") for token in value.split(b",")
    }  # fmt: skip
    gone = _OF_ONE_HOP | named
    expected = [pair for pair in direct.headers if pair[0] not in gone and not pair[0].startswith(b"pilotlight-")]
    if [pair for pair in ours.headers if pair[0] not in _OF_ONE_HOP] != expected:
        raise DifferenceError(f"headers are {ours.headers} behind us and {direct.headers} before us")
