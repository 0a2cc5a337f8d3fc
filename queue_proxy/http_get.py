"""One small request: for the model's readiness, for the engine's metrics, and to tell where we are.

One request without a body, one connection, the answer ends with it. Not for the data path. It exists because an HTTP
client library costs more memory and start-up time than the whole rest of the proxy, and because what is read here must
be bounded in size whoever sends it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ssl import SSLContext

_HEAD_BYTES = 65_536


class FetchError(Exception):
    """No usable answer; the message says what was wrong, in one line."""


class NoConnectionInTimeError(OSError):
    """Nobody accepted, and nobody refused: packets are dropped, or somebody is overloaded."""


@dataclass(frozen=True, slots=True)
class Request:
    """Where and what to ask. `headers` replace ours of the same name."""

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    tls: bool = False
    method: str = "GET"


class Reply(NamedTuple):
    """Status and body of an answer."""

    status: int
    body: bytes


async def get(request: Request, max_body_bytes: int, connect_seconds: float | None = None) -> Reply:
    """Send the request, read the answer up to its end; `max_body_bytes` 0 stops after the status line.

    `connect_seconds` bounds the making of the connection, and nothing bounds the rest. Raises FetchError, or OSError
    when there is no connection, NoConnectionInTimeError when that is for want of any answer.
    """
    try:
        async with asyncio.timeout(connect_seconds):
            reader, writer = await asyncio.open_connection(
                request.host, request.port, ssl=_trusting() if request.tls else None, limit=_HEAD_BYTES
            )
    except TimeoutError as error:
        raise NoConnectionInTimeError(f"no connection within {connect_seconds} s") from error
    try:
        # A body is asked for in HTTP/1.0, which knows no chunks. A status alone is asked for as the kubelet asks:
        # there are servers that refuse the old version.
        writer.write(_head(request, "1.0" if max_body_bytes else "1.1"))
        status = _status(await _line(reader))
        body = await _body(reader, max_body_bytes) if max_body_bytes else b""
        return Reply(status, body)
    finally:
        # Abort, so that nothing waits for the other side to say goodbye.
        writer.transport.abort()


def _head(request: Request, version: str) -> bytes:
    headers = {
        "host": ("Host", f"{request.host}:{request.port}"),
        "user-agent": ("User-Agent", "kube-probe/pilotlight"),
        "accept": ("Accept", "*/*"),
        "connection": ("Connection", "close"),
    }
    for name, value in request.headers:
        headers[name.lower()] = (name, value)
    lines = [
        f"{request.method} {request.path} HTTP/{version}",
        *(f"{name}: {value}" for name, value in headers.values()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("utf-8")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise FetchError(f"a head line longer than {_HEAD_BYTES} bytes") from error
    except asyncio.IncompleteReadError as error:
        raise FetchError("the connection ended before the answer") from error


def _status(line: bytes) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not (parts[1].isdigit() and len(parts[1]) == 3):
        raise FetchError(f"not an HTTP answer: {line[:40]!r}")
    return int(parts[1])


async def _body(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    length: int | None = None
    head_bytes = 0
    while (line := await _line(reader)).strip():
        head_bytes += len(line)
        if head_bytes > _HEAD_BYTES:
            raise FetchError(f"a head of more than {_HEAD_BYTES} bytes")
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding":
            raise FetchError("a chunked answer to a request in HTTP/1.0")
        if name.lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
    if length is not None and length > max_bytes:
        raise FetchError(f"a body of {length} bytes, and {max_bytes} are allowed")
    body = bytearray()
    while length is None or len(body) < length:
        part = await reader.read(65_536)
        if not part:
            break
        body += part
        if len(body) > max_bytes:
            raise FetchError(f"a body of more than {max_bytes} bytes")
    if length is not None and len(body) != length:
        raise FetchError(f"a body of {len(body)} bytes that should have {length}")
    return bytes(body)


def _trusting() -> SSLContext:
    """Encrypted but not verified, as the kubelet's HTTPS probes are: the peer is this pod."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
