"""An exchange as the holder of a lease, whichever protocol carries it: it takes one when it is forwarded, gives it back
exactly once, and does not keep it for longer than the timeouts allow.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from queue_proxy.http.answers import error_answer
from queue_proxy.http.client_side import Client
from queue_proxy.http.contract import Answer, Lease, Outcome
from queue_proxy.http.deadlines import NEVER
from queue_proxy.http.head import RequestHead

if TYPE_CHECKING:
    from queue_proxy.http.upstream import Upstream

SECONDS_PER_BYTE = 0.002
"""What a byte of a body buys its client: 500 bytes a second are slower than any client that means well."""

log = logging.getLogger(__name__)


class State(Enum):
    """Where an exchange stands.

    WAITING     the dispatcher has it
    CONNECTING  it owns a lease and waits for a connection
    SENT        at least its head was written to an upstream; the client has no byte of the upstream's answer
    ANSWERING   the client has the head of the upstream's answer
    TUNNEL      the connection was upgraded
    DONE        nothing more will happen
    """

    WAITING = "waiting"
    CONNECTING = "connecting"
    SENT = "sent"
    ANSWERING = "answering"
    TUNNEL = "tunnel"
    DONE = "done"


# Every exchange passes these; a name of the module costs less than an attribute of the enum.
WAITING = State.WAITING
CONNECTING = State.CONNECTING
SENT = State.SENT
ANSWERING = State.ANSWERING
TUNNEL = State.TUNNEL
DONE = State.DONE


class LeaseHolder:
    """What exchanges of both protocols are built on. Attributes that most never change are defaults of the class.

    head          the request's head
    arrived_at    when the head was whole, by the server's clock
    answered_at   when the head of the upstream's answer was passed on; None before
    clock_from    from when timeouts count; set to `arrived_at`, a dispatcher may move it before it forwards
    buffered      bytes of the request's body that are held in memory now
    request_ended nothing more of the request will come
    context       free for the dispatcher; None again once the exchange is done, so that two objects that know each
                  other do not have to wait for the garbage collector
    """

    head: RequestHead
    client: Client
    arrived_at: float
    clock_from: float
    answered_at: float | None = None
    buffered: int = 0
    context: object | None = None
    request_ended: bool = True
    state: State = WAITING
    _lease: Lease | None = None
    _upstream: Upstream | None = None
    _heard_at: float = 0.0
    _body_due: float = NEVER

    # What a dispatcher does

    def add_line(self, name: bytes, value: bytes) -> None:
        """Forward one header line more; `name` in lower case, and both known to be valid."""
        self.head = self.head.with_line(name, value)

    def drop_lines(self, *names: bytes) -> None:
        """Do not forward headers of these names (in lower case)."""
        self.head = self.head.without(*names)

    def forward(self, upstream: Upstream, lease: Lease) -> None:
        """Send it to `upstream`; from here the exchange owns `lease` and releases it exactly once.

        On an exchange whose client has left, the lease is released at once. Raises RuntimeError when it was
        forwarded already: the second lease then stays with the caller.
        """
        if self.state is not WAITING:
            if self.state is DONE:
                lease.release(Outcome.ABANDONED)
                return
            raise RuntimeError(f"forward() on an exchange that is {self.state.value}")
        self._lease = lease
        self._upstream = upstream
        client = self.client
        now = self._heard_at = client.clock()
        self._start(upstream, now)
        server = client.server
        if server.timed:
            due = self.clock_from + server.shortest_timeout
            if due < client.looked_at_by:
                client.look_at(due)

    def answer(self, answer: Answer) -> None:
        """Finish it with an answer of our own. Nothing happens if its client has left.

        Raises RuntimeError when it was forwarded.
        """
        if self._still_waits("answer"):
            self._forget()
            self.context = None
            self._answer_locally(answer)

    def _still_waits(self, what: str) -> bool:
        """Whether it is to be finished without an upstream; False when its client has left. Raises RuntimeError."""
        if self.state is not WAITING and self.state is not DONE:
            raise RuntimeError(f"{what}() on an exchange that is {self.state.value}")
        return self.state is WAITING

    # What its client and its upstream do

    def client_left(self) -> None:
        """The client is gone."""
        if self.state is WAITING:
            self._leave_line()
        elif self.state is not DONE:
            self._end(Outcome.ABANDONED)

    def _leave_line(self) -> None:
        self._forget()
        self.client.server.dispatcher.abandoned(self)
        self.context = None

    def unreachable(self, why: str) -> None:
        """Not one byte reached a model: for want of a connection here or there, or because it was declined unseen. The
        dispatcher has it again."""
        upstream = self._upstream
        assert upstream is not None
        self._upstream = None
        self.state = WAITING
        self._release(Outcome.UNSENT)
        try:
            self.client.server.dispatcher.unreachable(self, upstream, why)
        except Exception:
            log.exception("a request whose upstream is unreachable could not be dispatched again")
            if self.state is WAITING:
                self.answer(error_answer(502, f"no connection to the model: {why}"))

    # Deadlines

    def due(self) -> float:
        """When the first of its timeouts passes; NEVER while it waits."""
        state = self.state
        if state is DONE or state is WAITING:
            return NEVER
        timeouts = self.client.server.timeouts
        due = self._body_due_now()
        if timeouts.total and state is not TUNNEL:
            due = min(due, self.clock_from + timeouts.total)
        if timeouts.response_start and state is not ANSWERING and state is not TUNNEL:
            due = min(due, self.clock_from + timeouts.response_start)
        if timeouts.idle:
            due = min(due, self._heard_at + timeouts.idle)
        return due

    def expire(self, now: float) -> float:
        """Fail if a timeout has passed; returns when to look again."""
        due = self.due()
        if due > now:
            return due
        if self._body_due_now() <= now:
            self.client.server.slow_bodies_total += 1
            self._fail(408, "the request's body did not arrive in time")
        else:
            self._fail(504, "the model did not answer in time")
        return self.due()

    def _hear(self) -> None:
        if self.client.server.timed_idle:
            self._heard_at = self.client.clock()

    def _expect_body(self, seconds: float) -> None:
        """Give the client `seconds` more for what is missing of its body, up to the bound; NEVER: all of that."""
        most = self.client.server.limits.body_seconds
        if self.request_ended or not most:
            return
        latest = self.client.clock() + most
        due = self._body_due = min(self._body_due + seconds, latest)
        if due == latest:
            # It may have been nobody's turn before, and then nobody looks.
            self.client.look_at(due)

    def _body_due_now(self) -> float:
        """When the client must have sent more; NEVER when it is not its turn."""
        if self.state is not SENT or self.request_ended or self._is_upstreams_turn():
            return NEVER
        return self._body_due

    # How it ends

    def _release(self, outcome: Outcome) -> None:
        lease = self._lease
        self._lease = None
        if lease is None:
            return
        try:
            lease.release(outcome)
        except Exception:
            # A fault in counting must not take the client's answer with it.
            log.exception("a lease could not be released")

    # What a protocol adds

    def begin_events(self) -> None:
        """Start an event stream while it waits, where that is possible, so that `comment` keeps the client patient."""
        raise NotImplementedError

    def comment(self, text: bytes) -> None:
        """Send one comment line. Does nothing unless `begin_events` has begun and no answer is there."""
        raise NotImplementedError

    def _start(self, upstream: Upstream, now: float) -> None:
        """Send it on a connection that is there, or have one made."""
        raise NotImplementedError

    def _is_upstreams_turn(self) -> bool:
        """Whether more of the request could not be passed on now."""
        raise NotImplementedError

    def _forget(self) -> None:
        """End it while it waits: there is no lease."""
        raise NotImplementedError

    def _answer_locally(self, answer: Answer) -> None:
        """Write an answer of ours; the exchange is DONE."""
        raise NotImplementedError

    def _fail(self, status: int, why: str) -> None:
        """It cannot be finished: answer if the client has no byte of an answer yet, otherwise make it visible."""
        raise NotImplementedError

    def _end(self, outcome: Outcome) -> None:
        """End it after it was forwarded: let go of the upstream, then of the lease."""
        raise NotImplementedError
