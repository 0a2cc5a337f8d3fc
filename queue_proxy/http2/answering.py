"""The answer side of an exchange on a stream: from the upstream's head, or from our own decision, to the end.

As in `queue_proxy.http.answering`, every way in which it can end after it was forwarded goes through `_end`.
"""

from __future__ import annotations

from typing import Final

from queue_proxy.http.answers import error_answer, error_event
from queue_proxy.http.contract import Answer, Outcome
from queue_proxy.http.lease_holder import ANSWERING, CONNECTING, DONE, SENT, LeaseHolder
from queue_proxy.http2.answers import grpc_trailers, stream_answer
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.heads import Response, StreamHead, Trailers
from queue_proxy.http2.sides import ClientStreamOwner, Leg, StreamClient, UpstreamStreamOwner
from queue_proxy.http2.stream import Stream

_MOST_QUOTED: Final = 4_096

# Every call passes this; a name of the module costs less than an attribute of the enum.
_COMPLETED: Final = Outcome.COMPLETED


class StreamAnswering(LeaseHolder):
    """What `StreamExchange` is built on."""

    head: StreamHead
    client: StreamClient
    client_stream: Stream[ClientStreamOwner]
    _held: list[bytes]
    _connection: Leg | None = None
    _stream: Stream[UpstreamStreamOwner] | None = None
    _events: bool = False
    _quoted: bytearray | None = None
    _refused_status: int = 0
    _ended_at: float = 0.0

    def receive_head(self, head: Response | Trailers, ended: bool) -> None:
        """The head of the answer, an interim one, or the trailers."""
        self._hear()
        if isinstance(head, Trailers):
            if self.state is not ANSWERING or not ended:
                self._fail(502, "the model's answer: trailers in the wrong place")
            elif self._events:
                self._end_events()
            else:
                self._complete_with(head.block)
            return
        if self.state is not SENT or (head.status < 200 and ended):
            self._fail(502, "the model's answer: a second head")
            return
        if head.status < 200:
            if not self._events:
                self.client.send_headers(self.client_stream, head.block, False)
            return
        self.state = ANSWERING
        self.answered_at = self.client.clock()
        self._held = []
        if self._events:
            if head.status != 200 or not head.events:
                self._quoted = bytearray()
                self._refused_status = head.status
            if ended:
                self._end_events()
        elif ended:
            self._before_the_end()
            self.client.send_headers(self.client_stream, head.block, True)
            self._end(_COMPLETED)
        else:
            self.client.send_headers(self.client_stream, head.block, False)

    def receive_data(self, data: bytes, ended: bool) -> None:
        """A part of the answer's body."""
        self._hear()
        connection, stream = self._connection, self._stream
        assert connection is not None
        assert stream is not None
        if self.state is not ANSWERING:
            self._fail(502, "the model's answer: a body without a head")
            return
        if self._quoted is not None:
            self._quoted += data[: _MOST_QUOTED - len(self._quoted)]
            connection.credit(stream, len(data))
            if ended:
                self._end_events()
            return
        if ended:
            self._before_the_end()
        sent = self.client.send_data(self.client_stream, data, ended)
        if ended:
            self._end(_COMPLETED)
        else:
            connection.credit(stream, sent)

    def due(self) -> float:
        """See LeaseHolder."""
        if self.state is DONE and not self.client_stream.closed:
            # Its last bytes wait for a window that the client may never open.
            return self._ended_at + self.client.server.limits.idle_seconds
        return super().due()

    def expire(self, now: float) -> float:
        """See LeaseHolder."""
        if self.state is DONE and self.due() <= now:
            self.client.reset(self.client_stream, ErrorCode.CANCEL)
        return super().expire(now)

    # How it ends

    def _before_the_end(self) -> None:
        """The answer is about to be whole: if the request is not, its client may stop sending it."""
        if not self.request_ended:
            self.client_stream.reset_after = ErrorCode.NO_ERROR

    def _complete_with(self, trailers: bytes) -> None:
        self._before_the_end()
        self.client.send_trailers(self.client_stream, trailers)
        self._end(_COMPLETED)

    def _end_events(self) -> None:
        """The end of an answer to somebody whose event stream we began."""
        self._before_the_end()
        data = b"" if self._quoted is None else error_event(self._refused_status, bytes(self._quoted))
        self.client.send_data(self.client_stream, data, ended=True)
        self._end(_COMPLETED)

    def _fail(self, status: int, why: str) -> None:
        answering = self.state is ANSWERING
        self._end(Outcome.FAILED)
        if not answering or (self._events and self._quoted is not None):
            self._answer_locally(error_answer(status, why))
        elif self.head.request.grpc:
            self._before_the_end()
            self.client.send_trailers(self.client_stream, grpc_trailers(status, why))
        else:
            self.client.reset(self.client_stream, ErrorCode.INTERNAL_ERROR)

    def _answer_locally(self, answer: Answer) -> None:
        self._ended_at = self.client.clock()
        self._before_the_end()
        client, stream = self.client, self.client_stream
        if self._events:
            client.send_data(stream, error_event(answer.status, answer.body), ended=True)
            return
        request = self.head.request
        made = stream_answer(answer, grpc=request.grpc, target=request.target, for_head=request.method == b"HEAD")
        client.send_headers(stream, made.block, not made.data and not made.trailers)
        if made.data:
            client.send_data(stream, made.data, ended=not made.trailers)
        if made.trailers:
            client.send_trailers(stream, made.trailers)

    def _end(self, outcome: Outcome) -> None:
        if self.state is CONNECTING:
            self._stop_connecting()
        self.state = DONE
        self._held = []
        connection, stream = self._connection, self._stream
        self._connection = None
        self._stream = None
        if stream is not None:
            stream.owner = None
            if connection is not None and not stream.closed:
                connection.reset(stream, ErrorCode.CANCEL)
        self._ended_at = self.client.clock()
        if not self.client_stream.closed:
            self.client.look_at(self._ended_at + self.client.server.limits.idle_seconds)
        self._release(outcome)
        self.context = None

    def _stop_connecting(self) -> None:
        """It waits for no connection any more."""
        raise NotImplementedError
