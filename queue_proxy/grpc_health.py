"""grpc.health.v1.Health/Check, with just as much HTTP/2 as one call takes (RFC 9113, RFC 7541).

A gRPC library is 30 MB of memory beside each replica, for one question every ten seconds. The question is four
frames, and of the answer only the DATA frame matters: its message holds the status. So the client needs no
HPACK decoder: it sends its headers as literals and does not look at those of the answer.
"""

from __future__ import annotations

import asyncio
import struct
from enum import IntEnum

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PATH = b"/grpc.health.v1.Health/Check"
_STREAM = 1
_MOST_FRAME_BYTES = 16_384  # what a peer may send unless we allow more
_MOST_FRAMES = 100

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8


class HealthError(Exception):
    """The server did not answer the health question; the message says how far it got, in one line."""


class ServingStatus(IntEnum):
    """HealthCheckResponse.ServingStatus of the gRPC health protocol."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


async def check(host: str, port: int, service: str) -> ServingStatus:
    """Ask the server at `host:port` whether `service` serves; "" asks for the server as a whole.

    Has no time limit of its own. Raises HealthError, or OSError when there is no connection.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_question(f"{host}:{port}", service))
        return parse_reply(await _reply(reader, writer))
    except asyncio.IncompleteReadError as error:
        raise HealthError("the connection ended before the answer") from error
    finally:
        writer.transport.abort()


def _question(authority: str, service: str) -> bytes:
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", _PATH),
        (b":authority", authority.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"kube-probe/pilotlight"),
    )
    block = b"".join(_literal(name, value) for name, value in headers)
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""  # field 1, length-delimited
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, struct.pack(">HI", 0x2, 0))  # ENABLE_PUSH = 0
        + _frame(_HEADERS, _END_HEADERS, _STREAM, block)
        + _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, len(message)) + message)
    )


async def _reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The message of the answer. Acknowledges what the protocol wants acknowledged on the way."""
    message = b""
    for _ in range(_MOST_FRAMES):
        head = await reader.readexactly(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7FFF_FFFF
        if length > _MOST_FRAME_BYTES:
            raise HealthError(f"not an HTTP/2 answer, or a frame of {length} bytes")
        payload = await reader.readexactly(length)
        if kind == _SETTINGS and not flags & _ACK:
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            writer.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY:
            raise HealthError("the server ended the connection (GOAWAY)")
        elif stream != _STREAM:
            continue
        elif kind == _RST_STREAM:
            raise HealthError("the server ended the call (RST_STREAM)")
        elif kind == _DATA:
            message += _unpadded(payload, flags)
            if len(message) >= 5 and len(message) >= 5 + int.from_bytes(message[1:5], "big"):
                return message
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            raise HealthError("an error instead of a status: the service is unknown or there is no health service")
    raise HealthError(f"no answer within {_MOST_FRAMES} frames")


def parse_reply(message: bytes) -> ServingStatus:
    """The status in a length-prefixed HealthCheckResponse; a status that is left out is UNKNOWN.

    Raises HealthError when it is compressed, or not such a message.
    """
    if len(message) < 5 or message[0] != 0:
        raise HealthError("a compressed or broken message")
    body = message[5 : 5 + int.from_bytes(message[1:5], "big")]
    if not body:
        return ServingStatus.UNKNOWN
    if len(body) != 2 or body[0] != 0x08 or body[1] > max(ServingStatus):
        raise HealthError(f"not a health status: {body[:16]!r}")
    return ServingStatus(body[1])


def _unpadded(payload: bytes, flags: int) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise HealthError("a frame with more padding than content")
    return payload[1 : len(payload) - payload[0]]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header as a literal without indexing, new name, no Huffman coding (RFC 7541 section 6.2.2)."""
    return b"\x00" + _hpack_length(len(name)) + name + _hpack_length(len(value)) + value


def _hpack_length(length: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541 section 5.1)."""
    return bytes((length,)) if length < 127 else b"\x7f" + _varint(length - 127)


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the same in HPACK and in protocol buffers."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
