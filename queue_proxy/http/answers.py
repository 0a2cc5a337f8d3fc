"""Answers of our own: small JSON bodies that say what happened, and event streams that we begin ourselves."""

from __future__ import annotations

import json
from functools import cache, lru_cache

from queue_proxy.http.contract import Answer
from queue_proxy.http.response_head import NOT_DELIVERED

# What a start waits for is answered with these; to make the standard library's table takes longer than most modules do.
_USUAL_REASONS = {200: b"OK", 503: b"Service Unavailable"}
_LONGEST_QUOTED_BODY = 4_096
_ANSWERS_REMEMBERED = 16
_LONGEST_REMEMBERED = 1_024

EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
)


def error_answer(
    status: int, why: str, *, retry_after: int | None = None, close: bool = False, delivered: bool = True
) -> Answer:
    """An error in the shape of the Open Inference Protocol, `{"error": why}`, with `Retry-After` in seconds. Not
    `delivered`: the model has seen no byte of the request, so that an activator may send it elsewhere."""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)
    if retry_after is not None:
        headers += ((b"retry-after", b"%d" % retry_after),)
    if not delivered:
        headers += ((NOT_DELIVERED, b"1"),)
    return Answer(status, headers, json.dumps({"error": why}).encode(), close)


def answer_bytes(answer: Answer, *, for_head: bool, closing: bool) -> bytes:
    """An answer as sent: `for_head` leaves the body out, `closing` announces the connection's end."""
    if len(answer.body) > _LONGEST_REMEMBERED:
        return _write(answer, for_head, closing)
    return _remembered(answer, for_head, closing)


def _write(answer: Answer, for_head: bool, closing: bool) -> bytes:
    parts = [b"HTTP/1.1 %d %b" % (answer.status, _reason(answer.status))]
    parts += [b"%b: %b" % header for header in answer.headers]
    bodiless = answer.status in (204, 304)
    if not bodiless:
        parts.append(b"content-length: %d" % len(answer.body))
    if closing:
        parts.append(b"connection: close")
    parts += (b"", b"" if for_head or bodiless else answer.body)
    return b"\r\n".join(parts)


@cache
def _reason(status: int) -> bytes:
    if status in _USUAL_REASONS:
        return _USUAL_REASONS[status]
    from http import HTTPStatus

    return next((known.phrase.encode() for known in HTTPStatus if known == status), b"")


# Who is refused and tries again at once is refused in the same words thousands of times a second.
_remembered = lru_cache(_ANSWERS_REMEMBERED)(_write)


def events_head(chunked: bool) -> bytes:
    """Head of an event stream that we begin before any upstream has answered."""
    return EVENTS_HEAD + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"connection: close\r\n\r\n")


def chunk(payload: bytes) -> bytes:
    """`payload`, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"


def comment(text: bytes) -> bytes:
    """One comment line of an event stream."""
    return b": %b\n\n" % text.replace(b"\r", b" ").replace(b"\n", b" ")


def error_event(status: int, body: bytes) -> bytes:
    """One `error` event that carries the answer which a client would have got, had its stream not begun."""
    quoted = body[:_LONGEST_QUOTED_BODY].decode("utf-8", "replace")
    try:
        content: object = json.loads(quoted)
    except ValueError:
        content = {"error": quoted}
    return b"event: error\ndata: %b\n\n" % json.dumps({"status": status, "answer": content}).encode()
