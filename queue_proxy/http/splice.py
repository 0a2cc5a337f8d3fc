"""Splices: for the few answers whose framing must change on the way to the client.

Everything else is forwarded as raw bytes. A splice is given decoded parts of the upstream's body and says which
bytes the client gets instead.
"""

from __future__ import annotations

from typing import Protocol

from queue_proxy.http.answers import LAST_CHUNK, chunk, error_event
from queue_proxy.http.response_head import ResponseHead


class Splice(Protocol):
    """Turns an upstream's decoded body into what the client gets."""

    def parts(self, parts: list[bytes]) -> bytes:
        """The client's bytes for these parts; may be empty."""
        ...

    def end(self) -> bytes:
        """The client's bytes for the end of the body."""
        ...


class PlainSplice:
    """For clients that cannot read chunks: the payload, ended by the connection's end."""

    def parts(self, parts: list[bytes]) -> bytes:
        """See Splice."""
        return b"".join(parts)

    def end(self) -> bytes:
        """See Splice."""
        return b""


class ChunkSplice:
    """Into a chunked answer that has begun already."""

    def parts(self, parts: list[bytes]) -> bytes:
        """See Splice."""
        payload = b"".join(parts)
        return chunk(payload) if payload else b""

    def end(self) -> bytes:
        """See Splice."""
        return LAST_CHUNK


class ErrorSplice:
    """Into an event stream that has begun, when what comes is no event stream: one `error` event at its end."""

    _MOST = 4_096

    def __init__(self, status: int, chunked: bool) -> None:
        self._status = status
        self._chunked = chunked
        self._body = b""

    def parts(self, parts: list[bytes]) -> bytes:
        """See Splice. The start of the body is kept to be quoted."""
        if len(self._body) < self._MOST:
            self._body += b"".join(parts)[: self._MOST]
        return b""

    def end(self) -> bytes:
        """See Splice."""
        event = error_event(self._status, self._body)
        return chunk(event) + LAST_CHUNK if self._chunked else event


def splice_into_events(head: ResponseHead, chunked: bool) -> Splice:
    """The splice for an answer that arrives after we have begun an event stream; `chunked` is how we began it."""
    content_type = head.fields.get(b"content-type")
    encoding = head.fields.get(b"content-encoding")
    is_events = content_type is not None and content_type.value.lower().startswith(b"text/event-stream")
    is_plain = encoding is None or encoding.value.lower() == b"identity"
    if head.status != 200 or not is_events or not is_plain:
        return ErrorSplice(head.status, chunked)
    return ChunkSplice() if chunked else PlainSplice()
