"""Heads of requests and answers in HTTP/2: from decoded fields to what is forwarded, checked as strictly as in HTTP/1.

What does not keep to RFC 9113 section 8 is malformed and its stream is reset: a proxy that forwards such fields lends
itself to request smuggling, because behind it they may be written as HTTP/1 lines. What the engine makes of a valid
head is complete, with the encoded block that goes to the other side, so that a head that comes again costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from queue_proxy.http.fields import Field
from queue_proxy.http.head import RequestHead
from queue_proxy.http.lines import name_of, value_of
from queue_proxy.http2.hpack import HeaderList, encode
from queue_proxy.http2.hpack_table import Pair
from queue_proxy.http2.request_fields import (
    NOT_FORWARDED,
    MalformedError,
    RequestFields,
    check_name,
    check_value,
    is_forwarded,
)

VERSION: Final = b"HTTP/2"

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_PATH = re.compile(rb"/[!\"$-~]*").fullmatch
_AUTHORITY = re.compile(rb"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_STATUS = re.compile(rb"[1-5][0-9][0-9]").fullmatch

_GRPC: Final = b"application/grpc"
_PSEUDO_HEADERS: Final = 4


@dataclass(frozen=True, slots=True)
class Malformed:
    """A block that breaks the protocol; `why` names no value."""

    why: str


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """A request that keeps to the protocol and is not served: it is answered with `status`."""

    status: int
    why: str
    grpc: bool = False


@dataclass(frozen=True, slots=True)
class Trailers:
    """Fields behind a body, with the block that forwards them."""

    pairs: tuple[Pair, ...]
    block: bytes


class Request(NamedTuple):
    """A valid request.

    block   forwards it
    fields  those that mean something to a proxy, by name
    recurs  nothing in it is secret, or differs from request to request
    """

    method: bytes
    target: bytes
    host: bytes
    pairs: tuple[Pair, ...]
    block: bytes
    content_length: int | None
    grpc: bool
    secret: frozenset[bytes]
    fields: dict[bytes, Field]
    recurs: bool


@dataclass(frozen=True, slots=True)
class Response:
    """A valid answer's head (or an interim one). `block` forwards it."""

    status: int
    pairs: tuple[Pair, ...]
    block: bytes
    grpc: bool
    events: bool


class StreamHead(RequestHead):
    """A request's head as dispatchers know it. `chunked` says that its body has no length that is known yet.

    `lines` are made when somebody asks for them; from then on they say what is forwarded, as in HTTP/1.
    """

    __slots__ = ("_lines", "request")

    def __init__(self, request: Request) -> None:
        super().__init__(request.method, request.target, VERSION, [], request.fields)
        self._lines: Sequence[bytes] | None = None
        self.request = request
        self.raw = request.block
        self.host = request.host
        self.content_length = request.content_length

    def value(self, name: bytes) -> bytes | None:
        """See RequestHead."""
        found = self.fields.get(name)
        if found is not None:
            return found.value
        return next((value for its_name, value in self.forwarded() if its_name == name), None)

    @property
    def lines(self) -> Sequence[bytes]:
        """See RequestHead."""
        if self._lines is None:
            request = self.request
            first = b"%b %b %b" % (request.method, request.target, VERSION)
            self._lines = [first, *(b"%b: %b" % pair for pair in request.pairs[_PSEUDO_HEADERS:])]
        return self._lines

    @lines.setter
    def lines(self, lines: Sequence[bytes]) -> None:
        self._lines = lines

    def forwarded(self) -> tuple[Pair, ...]:
        """What is forwarded: pseudo-headers first."""
        if self._lines is None:
            return self.request.pairs
        changed = ((name_of(line), value_of(line)) for line in self._lines[1:])
        return (*self.request.pairs[:_PSEUDO_HEADERS], *changed)

    def block(self) -> bytes:
        """The same, encoded."""
        return self.request.block if self._lines is None else encode(self.forwarded(), self.request.secret)


def read_request(read: HeaderList) -> Request | Trailers | Unacceptable | Malformed:
    """What a client's header block means: a request, or the trailers of one."""
    try:
        if read.too_large:
            return Unacceptable(431, "the header list is too large", _is_grpc(dict(read.pairs).get(b"content-type")))
        if not read.pairs or read.pairs[0][0][:1] != b":":
            return _trailers(_split(read.pairs)[1], read.secret)
        return _request(read.pairs, read.secret)
    except MalformedError as error:
        return Malformed(str(error))


def read_response(read: HeaderList) -> Response | Trailers | Malformed:
    """What an upstream's header block means: an answer's head, or its trailers."""
    try:
        if read.too_large:
            return Malformed("the header list is too large")
        pseudo, pairs = _split(read.pairs)
        if not pseudo:
            return _trailers(pairs, read.secret)
        status = pseudo.pop(b":status", b"")
        if pseudo or not _STATUS(status):
            raise MalformedError("pseudo-headers of an answer are not :status alone")
        if status == b"101":
            raise MalformedError("status 101 does not exist in HTTP/2")
        forwarded = ((b":status", status), *(pair for pair in pairs if pair[0] not in NOT_FORWARDED))
        content_type = next((value for name, value in pairs if name == b"content-type"), None)
        events = content_type is not None and content_type.lower().startswith(b"text/event-stream")
        block = encode(forwarded, read.secret)
        return Response(int(status), forwarded, block, _is_grpc(content_type), events)
    except MalformedError as error:
        return Malformed(str(error))


def _is_grpc(content_type: bytes | None) -> bool:
    return content_type is not None and content_type.lower().startswith(_GRPC)


def _split(pairs: list[Pair]) -> tuple[dict[bytes, bytes], list[Pair]]:
    """Pseudo-headers, and the fields behind them, each checked on its own."""
    pseudo: dict[bytes, bytes] = {}
    rest: list[Pair] = []
    for pair in pairs:
        name, value = pair
        if name[:1] == b":":
            if rest:
                raise MalformedError("a pseudo-header behind a field")
            if name in pseudo:
                raise MalformedError("a pseudo-header is there twice")
            pseudo[name] = value
            continue
        check_name(name)
        check_value(name, value)
        rest.append(pair)
    return pseudo, rest


def _trailers(pairs: list[Pair], secret: frozenset[bytes]) -> Trailers:
    for name, _ in pairs:
        if name in (b"content-length", b"host"):
            raise MalformedError(f"field {name.decode()} in trailers")
    forwarded = tuple(pair for pair in pairs if is_forwarded(pair[0]))
    return Trailers(forwarded, encode(forwarded, secret))


class _Beginning(NamedTuple):
    """Valid pseudo-headers of a request, with the block that forwards them."""

    method: bytes
    path: bytes
    authority: bytes
    pairs: tuple[Pair, ...]
    block: bytes


_LONGEST: Final = 1_024
_BEGINNINGS_REMEMBERED: Final = 256
_beginnings: dict[tuple[Pair, ...], _Beginning] = {}


def _request(pairs: list[Pair], secret: frozenset[bytes]) -> Request | Unacceptable:
    beginning: _Beginning | Unacceptable | None = _beginnings.get(tuple(pairs[:_PSEUDO_HEADERS]))
    known = beginning is not None
    pseudo = pairs[:_PSEUDO_HEADERS] if known else [pair for pair in pairs if pair[0][:1] == b":"]
    fields = RequestFields(pairs[len(pseudo) :], secret)
    noted = fields.noted
    content_type = noted.get(b"content-type")
    grpc = content_type is not None and _is_grpc(content_type.value)
    if beginning is None:
        beginning = _begin(tuple(pseudo), fields.host, grpc)
    if isinstance(beginning, Unacceptable):
        return beginning
    if fields.host is not None and fields.host.lower() != beginning.authority.lower():
        raise MalformedError(":authority and host name different hosts")
    if b"expect" in noted and noted[b"expect"].value.lower() != b"100-continue":
        return Unacceptable(417, "expect other than 100-continue is not supported", grpc)
    method, path, authority = beginning.method, beginning.path, beginning.authority
    forwarded = (*beginning.pairs, *fields.forwarded)
    first = encode(beginning.pairs, secret) if secret else beginning.block
    block = first + b"".join(fields.encoded)
    recurs = known and fields.recur
    return Request(method, path, authority, forwarded, block, fields.content_length, grpc, secret, noted, recurs)


def _begin(pseudo: tuple[Pair, ...], host: bytes | None, grpc: bool) -> _Beginning | Unacceptable:
    rest = dict(pseudo)
    if len(rest) < len(pseudo):
        raise MalformedError("a pseudo-header is there twice")
    complete = b":authority" in rest
    method = rest.pop(b":method", b"")
    scheme = rest.pop(b":scheme", None)
    path = rest.pop(b":path", None)
    authority = rest.pop(b":authority", host)
    if rest:
        raise MalformedError("a pseudo-header that is not a request's")
    if not _METHOD(method):
        raise MalformedError(":method is missing or is not a token")
    if method == b"CONNECT":
        return Unacceptable(405, "CONNECT is not served", grpc)
    if scheme not in (b"http", b"https"):
        raise MalformedError(":scheme is missing or is not http")
    if path is None or not (_PATH(path) or (path == b"*" and method == b"OPTIONS")):
        raise MalformedError(":path is missing or is not a path")
    if authority is None or not _AUTHORITY(authority):
        raise MalformedError(":authority is missing or is not a host name or address with an optional port")
    pairs = ((b":method", method), (b":scheme", scheme), (b":path", path), (b":authority", authority))
    beginning = _Beginning(method, path, authority, pairs, encode(pairs))
    # A query may be a secret, and differs from request to request.
    if complete and b"?" not in path and len(path) + len(authority) <= _LONGEST:
        if len(_beginnings) >= _BEGINNINGS_REMEMBERED:
            _beginnings.clear()
        _beginnings[pseudo] = beginning
    return beginning
