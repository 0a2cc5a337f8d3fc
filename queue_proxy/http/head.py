"""Heads of requests, from bytes and back to bytes.

Nothing is decoded to text and no header is rebuilt: what is forwarded are the lines as they came, without
those that belong to one connection only. A head that two parsers could read in two ways is refused, because
whatever stands before or behind this proxy may read it the other way (request smuggling).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Self

from queue_proxy.http.fields import (
    KNOWN_CONNECTION_TOKENS,
    LINES_REMEMBERED,
    LONGEST_HEAD_REMEMBERED,
    NOT_TO_BE_NAMED,
    OF_ONE_CONNECTION,
    Field,
    FieldTable,
    read_fields,
)
from queue_proxy.http.lines import TOKEN, HeadError, lines_without, name_of, value_of

REQUEST_FIELDS: FieldTable[RequestHead] = FieldTable(
    # Expect is noted for nobody to read: only what is noted is held to its rule, which refuses all but 100-continue.
    noted=frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"user-agent"}),
    dropped=OF_ONE_CONNECTION | {b"te", b"proxy-authorization", b"http2-settings"},
    hidden=b"pilotlight-",
    # Servers that hand headers on as environment variables cannot tell these from the names with a dash.
    refused=frozenset({b"content_length", b"transfer_encoding"}),
)
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!\"$-~]+) (HTTP/1\.[01])").fullmatch
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?]+)(.*)", re.DOTALL).fullmatch
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n").search
_START_OF_REQUEST = re.compile(rb"\r$|(?:\r\n)?(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]|\Z|\r$)").match
_request_lines: dict[bytes, tuple[bytes, bytes, bytes]] = {}


class RequestHead:
    """A request's head, valid by construction and never changed: many requests may have the same one.

    method, target    as bytes; the target in origin form (or `*`)
    version           b"HTTP/1.1" or b"HTTP/1.0"
    host              value of Host, b"" when a 1.0 request has none
    lines             request line and header lines to forward, raw
    raw               the same in one piece when nothing was changed, else None
    wire              the same as sent, where that is remembered with the head, else None
    content_length    None when the request has none
    closes            the client wants, or its version means, that the connection ends after the answer
    note              free for one who reads heads: what he found out, for all requests that have this head
    """

    __slots__ = (
        "chunked",
        "closes",
        "content_length",
        "fields",
        "host",
        "is_upgrade",
        "line_count",
        "lines",
        "method",
        "note",
        "raw",
        "target",
        "version",
        "wire",
    )

    lines: Sequence[bytes]

    def __init__(
        self, method: bytes, target: bytes, version: bytes, lines: Sequence[bytes], fields: dict[bytes, Field]
    ):
        self.raw: bytes | None = None
        self.wire: bytes | None = None
        self.note: object | None = None
        self.method = method
        self.target = target
        self.version = version
        self.lines = lines
        self.line_count = len(lines)
        self.fields = fields
        self.host = b""
        self.content_length: int | None = None
        self.chunked = False
        self.closes = False
        self.is_upgrade = False

    @property
    def has_body(self) -> bool:
        """Whether bytes of a body follow the head."""
        return self.chunked or bool(self.content_length)

    def value(self, name: bytes) -> bytes | None:
        """The value of the first header named `name` (in lower case), None when there is none.

        Finds those too that are not forwarded. Costs a walk over all lines unless `name` is one of the few
        that the engine notes.
        """
        field = self.fields.get(name)
        if field is not None:
            return field.value
        for line in self.lines[1:]:
            if name_of(line) == name:
                return value_of(line)
        return None

    def without(self, *names: bytes) -> Self:
        """This head without headers of these names (in lower case)."""
        return self._with(lines_without(self.lines, frozenset(names)))

    def with_line(self, name: bytes, value: bytes) -> Self:
        """This head with one header line more; `name` in lower case, and both known to be valid."""
        return self._with([*self.lines, name + b": " + value])

    def to_bytes(self) -> bytes:
        """The head to send to an upstream, with its blank line."""
        if self.wire is not None:
            return self.wire
        if self.raw is not None:
            return self.raw + b"\r\n\r\n"
        return b"\r\n".join(self.lines) + b"\r\n\r\n"

    def _with(self, lines: Sequence[bytes]) -> Self:
        """The same request with other lines to forward."""
        head = copy.copy(self)
        head.lines = lines
        head.raw = head.wire = None
        return head


def parse_request(raw: bytes, header_lines: int, table: FieldTable[RequestHead] = REQUEST_FIELDS) -> RequestHead:
    """Read a request head; `raw` ends before the blank line's first CRLF.

    Raises HeadError with the status that the client gets: 400, 405, 417, 431, 501 or 505.
    """
    if len(raw) <= LONGEST_HEAD_REMEMBERED:
        head = table.heads.get(raw)
        if head is not None and head.line_count <= header_lines + 1:
            return head
    lines = raw.split(b"\r\n")
    if len(lines) - 1 > header_lines:
        raise HeadError(431, f"more than {header_lines} header lines")
    first = _request_lines.get(lines[0])
    method, target, version = first or _read_request_line(lines[0])
    fields, dropped, rememberable = read_fields(lines, table)
    head = RequestHead(method, target, version, lines, fields)
    host = fields.get(b"host")
    if host is not None:
        head.host = host.value
    elif version == b"HTTP/1.1":
        raise HeadError(400, "Host is missing")
    if target[0] == 0x2F:
        head.raw = raw
    else:
        head.target = _unusual_target(head)
        lines[0] = b"%b %b %b" % (method, head.target, version)
    _request_framing(head)
    if dropped:
        head.raw = None
        for line in dropped:
            lines.remove(line)
        head.lines = _request_connection(head, lines)
    if version == b"HTTP/1.0":
        head.closes = True
    if rememberable and first is not None:
        head.wire = head.to_bytes()
        table.remember(raw, head)
    return head


def check_beginning(data: bytes, seen: int) -> None:
    """See whether a head that is not whole yet may still become one; `seen` bytes of it were looked at before.

    Raises HeadError.
    """
    if _BARE_LINE_FEED(data, max(0, seen - 1)) is not None:
        raise HeadError(400, "a line ends with LF instead of CR LF")
    if _START_OF_REQUEST(data) is None:
        raise HeadError(400, "the request line is not METHOD TARGET HTTP/1.1")


def _read_request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    match = _REQUEST_LINE(line)
    if match is None:
        raise _request_line_error(line)
    method, target, version = match.groups()
    # A query may be a secret, and differs from request to request.
    if b"?" not in target and len(line) <= 128 and len(_request_lines) < LINES_REMEMBERED:
        _request_lines[line] = (method, target, version)
    return method, target, version


def _request_line_error(line: bytes) -> HeadError:
    if re.fullmatch(TOKEN + rb" \S+ HTTP/[0-9]\.[0-9]", line) and not line.endswith((b"/1.0", b"/1.1")):
        return HeadError(505, "only HTTP/1.1 and HTTP/1.0 are served")
    return HeadError(400, "the request line is not METHOD TARGET HTTP/1.1")


def _unusual_target(head: RequestHead) -> bytes:
    """The origin form of a target that does not start with a slash. Raises HeadError."""
    if head.method == b"CONNECT":
        raise HeadError(405, "CONNECT is not served")
    if head.target == b"*" and head.method == b"OPTIONS":
        return head.target
    absolute = _ABSOLUTE(head.target)
    if absolute is None:
        raise HeadError(400, "the target is neither a path nor an http URL")
    authority, path = absolute.groups()
    if authority.lower() != head.host.lower():
        raise HeadError(400, "the target and Host name different hosts")
    return path if path.startswith(b"/") else b"/" + path


def _request_framing(head: RequestHead) -> None:
    fields = head.fields
    length = fields.get(b"content-length")
    if length is not None:
        head.content_length = int(length.value)
    if b"transfer-encoding" in fields:
        if length is not None:
            raise HeadError(400, "Content-Length and Transfer-Encoding are both there")
        if head.version == b"HTTP/1.0":
            raise HeadError(400, "Transfer-Encoding in an HTTP/1.0 request")
        head.chunked = True
    if head.method == b"CONNECT":
        raise HeadError(405, "CONNECT is not served")


def _request_connection(head: RequestHead, lines: list[bytes]) -> list[bytes]:
    """Apply Connection, Upgrade and TE; returns the lines to forward: what they name is dropped, what may pass is put
    back."""
    fields = head.fields
    connection = fields.get(b"connection")
    tokens = () if connection is None else connection.tokens
    for token in NOT_TO_BE_NAMED.intersection(tokens):
        raise HeadError(400, f"Connection names {token.decode()}")
    named = frozenset(tokens) - KNOWN_CONNECTION_TOKENS
    if named:
        lines = lines_without(lines, named)
    head.closes = b"close" in tokens
    te = fields.get(b"te")
    if te is not None and b"trailers" in te.tokens:
        lines.append(b"te: trailers")
    upgrade = fields.get(b"upgrade")
    if upgrade is None or b"upgrade" not in tokens or head.version == b"HTTP/1.0":
        return lines
    # An upgrade to h2c would open a tunnel in which nothing of what follows is checked; and one with a body
    # leaves open where the tunnel begins. Both are served as ordinary requests, as RFC 9110 allows.
    if any(token.partition(b"/")[0] == b"h2c" for token in upgrade.tokens) or head.chunked or head.content_length:
        return lines
    head.is_upgrade = True
    return [*lines, b"connection: upgrade", b"upgrade: " + upgrade.value]
