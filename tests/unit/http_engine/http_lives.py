"""What may happen to a server, its upstream and its clients, as random lives, and the world that they happen in."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from queue_proxy.http import Answer, HttpLimits, HttpServer, Timeouts
from queue_proxy.http.lease_holder import ANSWERING, CONNECTING, DONE, SENT, TUNNEL, WAITING
from tests.unit.http_engine.http_fakes import FakeDispatcher, FakeTransport, FakeUpstream, connect

REQUESTS = {
    "get": b"GET /%d HTTP/1.1\r\nHost: m\r\n\r\n",
    "two": b"GET /%d HTTP/1.1\r\nHost: m\r\n\r\nGET /again%d HTTP/1.1\r\nHost: m\r\n\r\n",
    "head": b"HEAD /%d HTTP/1.1\r\nHost: m\r\n\r\n",
    "old": b"GET /%d HTTP/1.0\r\n\r\n",
    "post": b"POST /%d HTTP/1.1\r\nHost: m\r\nContent-Length: 10\r\n\r\n12345",
    "big": b"POST /%d HTTP/1.1\r\nHost: m\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000,
    "chunked": b"POST /%d HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "upgrade": b"GET /%d HTTP/1.1\r\nHost: m\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "expect": b"POST /%d HTTP/1.1\r\nHost: m\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    "part": b"GET /%d HTT",
    "bad": b"GET /%d HTTP/1.1\nHost: m\n\n",
}
CLIENT_BYTES = {"5": b"67890", "end of chunks": b"0\r\n\r\n", "no chunk": b"zz\r\n", "much": b"x" * 3000}
ANSWERS = {
    "whole": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "start": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "rest": b"world",
    "events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "end of chunks": b"0\r\n\r\n",
    "until close": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "closes": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switch": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "junk": b"junk\r\n\r\n",
    "part": b"HTTP/1.1 200 O",
    "none": b"HTTP/1.1 204 No Content\r\n\r\n",
}
EVENTS = (
    *[("request", name) for name in REQUESTS],
    *[("client", name) for name in CLIENT_BYTES],
    *[("answer", name) for name in ANSWERS],
    *[
        (name, "")
        for name in ("forward", "forward", "answer_locally", "begin_events", "comment", "connected", "refused")
    ],
    *[(name, "") for name in ("client_eof", "client_lost", "client_full", "client_drained", "new_client")],
    *[(name, "") for name in ("upstream_eof", "upstream_reset", "upstream_closed", "upstream_full")],
    *[(name, "") for name in ("upstream_drained", "time", "drain", "close", "deliver")],
)

Event = tuple[str, str]


def story(request: str, *answers: str) -> list[Event]:
    """What usually happens, in order; random events strike between."""
    return [("request", request), ("forward", ""), ("connected", ""), *[("answer", name) for name in answers]]


STORIES = (
    story("get", "whole"),
    story("two", "whole"),
    story("get", "start", "rest"),
    story("get", "events", "end of chunks"),
    story("get", "until close"),
    story("get", "closes"),
    story("old", "events", "end of chunks"),
    story("post", "continue", "whole"),
    [*story("post"), ("client", "5"), ("answer", "whole")],
    [*story("big"), ("client", "much"), ("answer", "whole")],
    [*story("chunked"), ("client", "end of chunks"), ("answer", "none")],
    [*story("upgrade", "switch", "rest"), ("client", "much")],
    [("request", "get"), ("begin_events", ""), ("forward", ""), ("connected", ""), ("answer", "events")],
    [("request", "get"), ("begin_events", ""), ("forward", ""), ("connected", ""), ("answer", "whole")],
)
LIVES = st.lists(
    st.one_of(st.sampled_from(EVENTS).map(lambda event: [event]), st.sampled_from(STORIES)), max_size=12
).map(lambda parts: [event for part in parts for event in part])


@st.composite
def disturbed(draw: st.DrawFn) -> list[Event]:
    """A life with a few events put in at random places."""
    events = list(draw(LIVES))
    for event in draw(st.lists(st.sampled_from(EVENTS), max_size=4)):
        events.insert(draw(st.integers(0, len(events))), event)
    return events


class World:
    """One server, one upstream, one client at a time, and what may happen to them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.dispatcher = FakeDispatcher()
        limits = HttpLimits(waiting_bytes=2048, head_bytes=1024)
        self.server = HttpServer(self.dispatcher, limits, Timeouts(30, 20, 10), clock=lambda: self.now)
        self.upstream = FakeUpstream(lambda: self.now)
        self.clients: list[FakeTransport] = []
        self.sent = 0
        self.do_new_client()

    @property
    def client(self) -> FakeTransport:
        return self.clients[-1]

    @property
    def model(self) -> FakeTransport | None:
        open_ones = [t for t in self.upstream.transports if not t.closing and t.protocol.exchange is not None]  # type: ignore[attr-defined]
        return open_ones[-1] if open_ones else None

    def do(self, event: Event) -> None:
        name, what = event
        if name == "request":
            self.sent += 1
            text = REQUESTS[what]
            self.client.receive(text % ((self.sent,) * text.count(b"%d")))
        elif name == "client":
            self.client.receive(CLIENT_BYTES[what])
        elif name == "answer":
            if self.model is not None:
                self.model.receive(ANSWERS[what])
        else:
            action: Callable[[], None] = getattr(self, f"do_{name}")
            action()

    def do_new_client(self) -> None:
        self.clients.append(connect(self.server))

    def do_forward(self) -> None:
        if self.dispatcher.waiting:
            self.dispatcher.forward_next(self.upstream)

    def do_answer_locally(self) -> None:
        if self.dispatcher.waiting:
            self.dispatcher.waiting.pop(0).answer(Answer(503, body=b"full"))

    def do_begin_events(self) -> None:
        if self.dispatcher.waiting:
            self.dispatcher.waiting[0].begin_events()

    def do_comment(self) -> None:
        for exchange in self.dispatcher.arrived:
            exchange.comment(b"still waiting")

    def do_connected(self) -> None:
        if self.upstream.attempts:
            self.upstream.connect_next()

    def do_refused(self) -> None:
        if self.upstream.attempts:
            self.upstream.refuse_next()

    def do_client_eof(self) -> None:
        self.client.receive_eof()

    def do_client_lost(self) -> None:
        self.client.lose(ConnectionResetError())

    def do_client_full(self) -> None:
        if not self.client.closing:
            self.client.protocol.pause_writing()

    def do_client_drained(self) -> None:
        if not self.client.closing:
            self.client.protocol.resume_writing()

    def do_upstream_eof(self) -> None:
        if self.model is not None:
            self.model.receive_eof()

    def do_upstream_reset(self) -> None:
        if self.model is not None:
            self.model.lose(ConnectionResetError())

    def do_upstream_closed(self) -> None:
        if self.model is not None:
            self.model.lose(None)

    def do_upstream_full(self) -> None:
        if self.model is not None:
            self.model.protocol.pause_writing()

    def do_upstream_drained(self) -> None:
        if self.model is not None:
            self.model.protocol.resume_writing()

    def do_time(self) -> None:
        self.now += 6.0
        self.server.deadlines.sweep(self.now)

    def do_drain(self) -> None:
        self.server.begin_drain()

    def do_close(self) -> None:
        for connection in list(self.server._connections):
            connection.abandon()

    def do_deliver(self) -> None:
        for transport in (*self.clients, *self.upstream.transports):
            if transport.closing:
                transport.lose(None)

    def check(self) -> None:
        """What holds at every moment."""
        assert all(len(lease.outcomes) <= 1 for lease in self.dispatcher.leases)
        owners = [e for e in self.dispatcher.arrived if e.state not in (WAITING, DONE)]
        assert len(owners) == sum(not lease.outcomes for lease in self.dispatcher.leases), "a slot without an owner"
        for exchange in owners:
            assert not exchange.client.transport.lost, "its client is gone"  # type: ignore[attr-defined]
        connections = [t.protocol for t in self.upstream.transports]
        served = [c.exchange for c in connections if c.exchange is not None]  # type: ignore[attr-defined]
        assert all(exchange.state in (SENT, ANSWERING, TUNNEL) for exchange in served)
        assert len(served) == sum(e.state is not CONNECTING for e in owners), "an exchange without its connection"
        assert not any(t.lost and t.protocol.exchange for t in self.upstream.transports)  # type: ignore[attr-defined]

    def end(self) -> None:
        """Everybody leaves."""
        for client in self.clients:
            client.lose(None)
        while self.upstream.attempts:
            self.upstream.connect_next()
