"""Answers of our own as HTTP/2 sends them: JSON for everybody, and for gRPC a status that its libraries understand.

A gRPC client takes an HTTP status other than 200 for a broken proxy and shows its user an error about transport. So
what we refuse is answered as gRPC itself would: "trailers only", with `grpc-status` and `grpc-message`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from queue_proxy.http.contract import Answer
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.hpack_table import Pair

HEALTH_CHECK: Final = b"/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x00\x00\x00\x00\x02\x08\x01"  # a message of two bytes: field 1, status SERVING
_GRPC_HEAD: Final[tuple[Pair, ...]] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_LONGEST_MESSAGE: Final = 1_024


class GrpcStatus(IntEnum):
    """The codes of gRPC that we give."""

    OK = 0
    DEADLINE_EXCEEDED = 4
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


_STATUS_OF: Final = {
    400: GrpcStatus.INTERNAL,
    404: GrpcStatus.UNIMPLEMENTED,
    405: GrpcStatus.UNIMPLEMENTED,
    408: GrpcStatus.DEADLINE_EXCEEDED,
    429: GrpcStatus.RESOURCE_EXHAUSTED,
    431: GrpcStatus.RESOURCE_EXHAUSTED,
    504: GrpcStatus.DEADLINE_EXCEEDED,
    505: GrpcStatus.UNIMPLEMENTED,
}


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """What is sent: a header block, data, and a block of trailers or b""."""

    block: bytes
    data: bytes = b""
    trailers: bytes = b""


def stream_answer(answer: Answer, *, grpc: bool, target: bytes, for_head: bool = False) -> StreamAnswer:
    """How `answer` is sent to a client that asked for `target`; `for_head` leaves the body out."""
    if grpc:
        return _grpc_answer(answer, target)
    bodiless = answer.status in (204, 304)
    length = () if bodiless else ((b"content-length", b"%d" % len(answer.body)),)
    block = encode(((b":status", b"%d" % answer.status), *answer.headers, *length))
    return StreamAnswer(block, b"" if for_head or bodiless else answer.body)


def _grpc_answer(answer: Answer, target: bytes) -> StreamAnswer:
    if answer.status == 200 and target == HEALTH_CHECK:
        return StreamAnswer(encode(_GRPC_HEAD), _SERVING, encode(((b"grpc-status", b"0"),)))
    retry = tuple(pair for pair in answer.headers if pair[0] == b"retry-after")
    pushback = tuple((b"grpc-retry-pushback-ms", b"%d" % (1_000 * int(value))) for _, value in retry)
    status = _STATUS_OF.get(answer.status, GrpcStatus.UNAVAILABLE)
    return StreamAnswer(encode((*_GRPC_HEAD, *_status_pairs(status, _why(answer)), *retry, *pushback)))


def grpc_trailers(status: int, why: str) -> bytes:
    """Trailers that end an answer which has begun; `status` is the one of HTTP."""
    return encode(_status_pairs(_STATUS_OF.get(status, GrpcStatus.UNAVAILABLE), why))


def _status_pairs(status: GrpcStatus, why: str) -> tuple[Pair, ...]:
    return ((b"grpc-status", b"%d" % status), (b"grpc-message", _percent_encoded(why)))


def _why(answer: Answer) -> str:
    """The sentence in the body of an answer of ours."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        return answer.body.decode("utf-8", "replace")
    return str(said.get("error", said)) if isinstance(said, dict) else str(said)


def _percent_encoded(text: str) -> bytes:
    """As gRPC wants its messages: printable ASCII stays, except the percent sign."""
    raw = text.encode()[:_LONGEST_MESSAGE].strip()
    return b"".join(bytes((b,)) if 0x20 <= b < 0x7F and b != 0x25 else b"%%%02X" % b for b in raw)
