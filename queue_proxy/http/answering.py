"""The answer side of an exchange: from the upstream's first byte, or from our own decision, to the end.

Every way in which an exchange can end after it was forwarded goes through `_end`, and only there (and where a
connection could not be made) the lease is released.
"""

from __future__ import annotations

from queue_proxy.http.answers import LAST_CHUNK, answer_bytes, chunk, error_answer, error_event
from queue_proxy.http.body import BodyError, BodyFraming, ChunkedBody, LengthBody, UntilCloseBody
from queue_proxy.http.client_side import Http1Client
from queue_proxy.http.contract import Answer, Outcome
from queue_proxy.http.lease_holder import ANSWERING, DONE, SENT, TUNNEL, LeaseHolder
from queue_proxy.http.lines import HeadError
from queue_proxy.http.response_head import NOT_DELIVERED, ResponseHead, parse_response
from queue_proxy.http.splice import ChunkSplice, ErrorSplice, PlainSplice, Splice, splice_into_events
from queue_proxy.http.upstream import Attempt
from queue_proxy.http.upstream_connection import UpstreamConnection

# Every exchange passes these; a name of the module costs less than an attribute of the enum.
_COMPLETED = Outcome.COMPLETED

_DIED = "the model's server closed the connection before its answer was whole"


class Answering(LeaseHolder):
    """What `Http1Exchange` is built on."""

    client: Http1Client
    _attempt: Attempt | None = None
    _connection: UpstreamConnection | None = None
    _response: ResponseHead | None = None
    _answer_body: BodyFraming | None = None
    _splice: Splice | None = None
    _partial: bytes = b""
    _events: bool = False
    _closing: bool = False
    _held: bytearray | None = None
    _kept: bytearray | None = None
    _interim_bytes: int = 0

    def receive_answer(self, data: bytes) -> None:
        """Bytes from the upstream."""
        client = self.client
        self._heard_at = client.clock()
        state = self.state
        if state is ANSWERING:
            self._relay(data)
        elif state is SENT:
            self._receive_head(data)
        else:
            client.write(data)

    def receive_body(self, data: bytes) -> bytes:
        """Take bytes that follow the head; returns those that do not belong to this exchange. Raises BodyError."""
        raise NotImplementedError

    def nothing_follows(self) -> None:
        """What its client has sent behind it was thrown away: its answer is the connection's last."""
        self._closing = True

    @property
    def _chunks_to_client(self) -> bool:
        return self.head.version != b"HTTP/1.0"

    def _receive_head(self, data: bytes) -> None:
        """Look for the answer's head; interim answers are passed on."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        limits = self.client.limits
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > limits.head_bytes:
                if len(data) > limits.head_bytes:
                    self._fail(502, "the head of the model's answer is too long")
                else:
                    self._partial = data
                return
            try:
                head = parse_response(data[:end], limits.header_lines)
            except HeadError as error:
                self._fail(502, f"the model's answer: {error.why}")
                return
            if head.status >= 200:
                self._begin_answer(head, data, end + 4)
                return
            self._interim_bytes += end + 4
            if self._interim_bytes > limits.head_bytes:
                self._fail(502, "the model sends interim answers without an end")
                return
            data = data[end + 4 :]
            if head.status == 101:
                self._begin_tunnel(head, data)
                return
            if self._chunks_to_client and not self._events:
                self.client.write(head.to_bytes(closing=False))

    def _begin_answer(self, head: ResponseHead, data: bytes, start: int) -> None:
        """Pass the head on, together with what is there of the body."""
        client = self.client
        if client.server.takes_back and NOT_DELIVERED in head.fields and self._can_be_sent_again:
            self._take_back(whole=len(data) - start == head.content_length and not head.closes)
            return
        self._response = head
        self.answered_at = self._heard_at
        if self.head.closes or client.server.draining or not self.request_ended:
            self._closing = True
        if client.full and self._connection is not None:
            self._connection.pause_reading()
        size = len(data) - start
        if size == head.content_length and not self._events and self.head.method != b"HEAD" and head.may_have_body:
            # All of it is here: by far the most common answer needs no framing.
            self.state = ANSWERING
            if head.untouched and not self._closing:
                client.write(data)
            else:
                client.write(head.to_bytes(self._closing) + data[start:])
            self._complete(clean=True)
            return
        framing = self._answer_body = self._framing(head)
        if self._events:
            self._splice = splice_into_events(head, self._chunks_to_client)
        elif head.chunked and not self._chunks_to_client:
            head = head.without(b"transfer-encoding", b"trailer")
            self._splice = PlainSplice()
        if self._splice is not None:
            self._begin_splice(head, data[start:])
            return
        try:
            used = framing.feed(data[start:]) if size else 0
        except BodyError as error:
            self._fail(502, f"the model's answer: {error}")
            return
        self.state = ANSWERING
        if used == size and head.untouched and not self._closing:
            client.write(data)
        else:
            client.write(head.to_bytes(self._closing) + data[start : start + used])
        if framing.ended:
            self._complete(clean=used == size)

    @property
    def _can_be_sent_again(self) -> bool:
        """Whether all of the request is still here."""
        return self.request_ended and (self._kept is not None or not self.head.has_body)

    def _take_back(self, *, whole: bool) -> None:
        """The model has seen no byte of it: as if there had been no connection. `whole`: the answer that said so is
        all there, and the connection may serve again."""
        connection, upstream = self._connection, self._upstream
        assert upstream is not None
        self._connection = None
        if connection is not None:
            connection.exchange = None
            if whole:
                upstream.put(connection, self._heard_at)
            else:
                connection.abort()
        self._held, self._kept = self._kept, None
        self.buffered = 0 if self._held is None else len(self._held)
        self.unreachable("its queue proxy could not deliver the request to the model")

    def _framing(self, head: ResponseHead) -> BodyFraming:
        if self.head.method == b"HEAD" or not head.may_have_body:
            return LengthBody(0)
        if head.chunked:
            return ChunkedBody(self.client.limits.trailer_bytes)
        if head.content_length is not None:
            return LengthBody(head.content_length)
        if not self._events:
            self._closing = True
        return UntilCloseBody()

    def _begin_splice(self, head: ResponseHead, body: bytes) -> None:
        self.state = ANSWERING
        if not self._events:
            self.client.write(head.to_bytes(self._closing))
        self._relay(body)

    def _relay(self, data: bytes) -> None:
        """Pass on a part of the answer's body."""
        framing = self._answer_body
        assert framing is not None
        splice = self._splice
        sink: list[bytes] | None = None if splice is None else []
        try:
            used = framing.feed(data, sink)
        except BodyError as error:
            self._fail(502, f"the model's answer: {error}")
            return
        size = len(data)
        if splice is None:
            self.client.write(data if used == size else data[:used])
        elif sink:
            self.client.write(splice.parts(sink))
        if framing.ended:
            self._complete(clean=used == size)

    def _begin_tunnel(self, head: ResponseHead, data: bytes) -> None:
        if not self.head.is_upgrade or self._events:
            self._fail(502, "the model's server changed protocols unasked")
            return
        if self._closing:
            self._fail(503, "too much was sent ahead of the answer")
            return
        self.state = TUNNEL
        client = self.client
        self.answered_at = self._heard_at
        client.write(head.to_bytes(closing=False) + data)
        ahead = client.take_ahead()
        if ahead:
            self.receive_body(ahead)

    # How it ends

    def _upstream_died(self, exc: Exception | None) -> None:
        """Its connection is gone (and `_connection` None): for some bodies that is the end."""
        state = self.state
        if state is TUNNEL:
            self._end(Outcome.COMPLETED if exc is None else Outcome.FAILED)
            self.client.finish(closing=True, linger=False)
        elif state is ANSWERING and exc is None and isinstance(self._answer_body, UntilCloseBody):
            self._complete(clean=False)
        else:
            self._fail(502, _DIED)

    def _complete(self, *, clean: bool) -> None:
        """The answer is whole. `clean`: the connection has nothing beyond it and may serve again."""
        if self._splice is not None:
            self.client.write(self._splice.end())
        response = self._response
        assert response is not None
        ended = self.request_ended
        keep = clean and ended and not response.closes and self.head.version == b"HTTP/1.1"
        self._end(_COMPLETED, keep)
        self.client.finish(closing=self._closing, linger=not ended)

    def _fail(self, status: int, why: str) -> None:
        state = self.state
        splice = self._splice
        self._end(Outcome.FAILED)
        if state is TUNNEL:
            self.client.cut(framed=False)
        elif state is ANSWERING and not isinstance(splice, ErrorSplice):
            raw = splice is None and not isinstance(self._answer_body, UntilCloseBody)
            self.client.cut(framed=raw or isinstance(splice, ChunkSplice))
        else:
            self._answer_locally(error_answer(status, why, close=status == 400))

    def _answer_locally(self, answer: Answer) -> None:
        client = self.client
        asked = answer.close or self.head.closes or self._closing
        closing = asked or client.server.draining or not self.request_ended
        if self._events:
            event = error_event(answer.status, answer.body)
            client.write(chunk(event) + LAST_CHUNK if self._chunks_to_client else event)
        else:
            client.write(answer_bytes(answer, for_head=self.head.method == b"HEAD", closing=closing))
        client.finish(closing=closing, linger=not self.request_ended)

    def _end(self, outcome: Outcome, keep: bool = False) -> None:
        """End it after it was forwarded: give back the connection, then the lease.

        In this order, because releasing the lease may forward the next request at once, and that shall find
        the connection in the pool.
        """
        self.state = DONE
        self._held = self._kept = None
        if self._attempt is not None:
            self._attempt.exchange = None
            self._attempt = None
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.exchange = None
            if keep and self._upstream is not None:
                self._upstream.put(connection, self._heard_at)
            else:
                connection.abort()
        self._release(outcome)
        self.context = None
