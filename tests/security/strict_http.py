"""A strict reader of HTTP/1.1 requests that shares nothing with the engine: what it refuses, somebody may misread.

It goes byte by byte, as a coroutine that asks for more; the engine searches and matches. Two readers that are built
so differently do not make the same mistake, so where both see the same requests there is one way to read them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_HOST = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._~-:[]")
_CR, _LF, _TAB, _SPACE = 13, 10, 9, 32

Steps = Generator[None, None, None]


class StrictError(Exception):
    """These bytes are not requests, or could be read in more than one way."""


@dataclass(frozen=True)
class Request:
    """One request. Names of headers are in lower case; a chunked body is decoded."""

    method: bytes
    target: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def all(self, name: bytes) -> list[bytes]:
        """Values of all headers of that name."""
        return [value for other, value in self.headers if other == name]

    @property
    def host(self) -> bytes:
        """The value of Host, empty when there is none."""
        return next(iter(self.all(b"host")), b"")


@dataclass
class StrictReader:
    """Feed it a connection's bytes; `requests` are those that are whole. `inside`: part of one is there.

    `forgives`: one empty line before a request is passed over, and a target may be an http URL for its Host, as
    RFC 9112 asks of servers. What we send to others must not need it.
    """

    forgives: bool = False
    requests: list[Request] = field(default_factory=list)
    inside: bool = False
    _bytes: bytearray = field(default_factory=bytearray)
    _at: int = 0
    _steps: Steps | None = None

    def feed(self, data: bytes) -> list[Request]:
        """The requests that these bytes complete. Raises StrictError, and from then on each time."""
        known = len(self.requests)
        self._bytes += data
        if self._steps is None:
            self._steps = self._read_all()
        try:
            next(self._steps)
        except StopIteration:
            raise StrictError("bytes after an error") from None
        return self.requests[known:]

    def _read_all(self) -> Steps:
        while True:
            del self._bytes[: self._at]
            self._at = 0
            self.inside = False
            while not self._bytes:
                yield
            self.inside = True
            yield from self._read_request()

    def _byte(self) -> Generator[None, None, int]:
        while self._at == len(self._bytes):
            yield
        self._at += 1
        return self._bytes[self._at - 1]

    def _line(self) -> Generator[None, None, bytes]:
        line = bytearray()
        while True:
            byte = yield from self._byte()
            if byte == _CR:
                if (yield from self._byte()) != _LF:
                    raise StrictError("CR without LF")
                return bytes(line)
            if (byte < _SPACE and byte != _TAB) or byte == 127:
                raise StrictError(f"control byte {byte}")
            line.append(byte)

    def _take(self, size: int) -> Generator[None, None, bytes]:
        while len(self._bytes) - self._at < size:
            yield
        self._at += size
        return bytes(self._bytes[self._at - size : self._at])

    def _read_request(self) -> Steps:
        line = yield from self._line()
        if not line and self.forgives:
            line = yield from self._line()
        parts = line.split(b" ")
        if len(parts) != 3:
            raise StrictError("not three words in the request line")
        method, target, version = parts
        if not method or not set(method) <= _TOKEN or version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise StrictError("method or version")
        if not target or any(byte <= _SPACE or byte >= 127 or byte == ord("#") for byte in target):
            raise StrictError("target")
        headers = yield from self._headers()
        target = self._origin_form(method, target, headers)
        body, trailers = yield from self._body(version, headers)
        self.requests.append(Request(method, target, version, headers, body, trailers))

    def _headers(self) -> Generator[None, None, tuple[tuple[bytes, bytes], ...]]:
        found = []
        while line := (yield from self._line()):
            colon = line.find(b":")
            if colon < 1 or not set(line[:colon]) <= _TOKEN:
                raise StrictError("a header's name")
            found.append((line[:colon].lower(), line[colon + 1 :].strip(b" \t")))
        return tuple(found)

    def _origin_form(self, method: bytes, target: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) > 1 or any(not host or not set(host) <= _HOST for host in hosts):
            raise StrictError("Host")
        if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
            return target
        if not self.forgives or target[:7].lower() != b"http://" or not hosts:
            raise StrictError("form of the target")
        rest = target[7:]
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        if rest[:end].lower() != hosts[0].lower():
            raise StrictError("target and Host differ")
        return rest[end:] if rest[end : end + 1] == b"/" else b"/" + rest[end:]

    def _body(
        self, version: bytes, headers: tuple[tuple[bytes, bytes], ...]
    ) -> Generator[None, None, tuple[bytes, tuple[tuple[bytes, bytes], ...]]]:
        lengths = [value for name, value in headers if name in (b"content-length", b"content_length")]
        codings = [value for name, value in headers if name in (b"transfer-encoding", b"transfer_encoding")]
        if version == b"HTTP/1.1" and not any(name == b"host" for name, _ in headers):
            raise StrictError("no Host")
        if len(lengths) + len(codings) > 1:
            raise StrictError("framed twice")
        if codings:
            if codings[0].lower() != b"chunked" or version != b"HTTP/1.1":
                raise StrictError("coding")
            return (yield from self._chunks())
        if not lengths:
            return b"", ()
        if not lengths[0] or not set(lengths[0]) <= _DIGITS or len(lengths[0]) > 18:
            raise StrictError("length")
        return (yield from self._take(int(lengths[0]))), ()

    def _chunks(self) -> Generator[None, None, tuple[bytes, tuple[tuple[bytes, bytes], ...]]]:
        body = bytearray()
        while True:
            line = yield from self._line()
            digits = 0
            while digits < len(line) and line[digits] in _HEX:
                digits += 1
            if not 1 <= digits <= 16 or line[digits:].lstrip(b" \t")[:1] not in (b"", b";"):
                raise StrictError("size of a chunk")
            if digits < len(line) and b";" not in line:
                raise StrictError("blank after the size of a chunk")
            size = int(line[:digits], 16)
            if size == 0:
                return bytes(body), (yield from self._headers())
            body += yield from self._take(size)
            if (yield from self._take(2)) != b"\r\n":
                raise StrictError("end of a chunk")
