"""Heads of answers, from bytes and back to bytes; as strict as with requests, for clients can be deceived too."""

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
from queue_proxy.http.lines import HeadError, lines_without

RESPONSE_FIELDS: FieldTable[ResponseHead] = FieldTable(
    noted=frozenset({b"content-length", b"transfer-encoding", b"content-type", b"content-encoding"}),
    dropped=OF_ONE_CONNECTION | {b"proxy-authenticate"},
    hidden=b"pilotlight-",
)

NOT_DELIVERED = b"pilotlight-not-delivered"
"""On an answer of a queue proxy: its model has seen no byte of the request. A model cannot say so itself, because such
headers are not passed on."""

_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?").fullmatch

_LONGEST_REMEMBERED = 128
_status_lines: dict[bytes, tuple[bytes, int]] = {}


class ResponseHead:
    """An upstream's answer head, valid by construction and never changed: many answers may have the same one.

    lines      status line and header lines to forward, raw
    untouched  those are all that came
    closes     its connection ends after it
    """

    __slots__ = (
        "_open",
        "chunked",
        "closes",
        "content_length",
        "fields",
        "line_count",
        "lines",
        "may_have_body",
        "status",
        "untouched",
        "version",
    )

    lines: Sequence[bytes]

    def __init__(self, status: int, version: bytes, lines: Sequence[bytes], fields: dict[bytes, Field]):
        self.status = status
        self.version = version
        self.lines = lines
        self.line_count = len(lines)
        self.fields = fields
        self.may_have_body = status >= 200 and status not in (204, 304)
        """Whether its status allows one."""
        self._open: bytes | None = None
        self.content_length: int | None = None
        self.chunked = False
        self.closes = False
        self.untouched = True

    def without(self, *names: bytes) -> Self:
        """This head without headers of these names (in lower case)."""
        head = copy.copy(self)
        head.lines = lines_without(self.lines, frozenset(names))
        head.untouched = False
        head._open = None
        return head

    def to_bytes(self, closing: bool) -> bytes:
        """The head to send to a client, with its blank line; always ours in version."""
        if closing:
            return b"\r\n".join((*self.lines, b"connection: close\r\n\r\n"))
        if self._open is None:
            self._open = b"\r\n".join(self.lines) + b"\r\n\r\n"
        return self._open


def parse_response(raw: bytes, header_lines: int, table: FieldTable[ResponseHead] = RESPONSE_FIELDS) -> ResponseHead:
    """Read an answer's head; `raw` ends before the blank line's first CRLF. Raises HeadError with status 502."""
    if len(raw) <= LONGEST_HEAD_REMEMBERED:
        head = table.heads.get(raw)
        if head is not None and head.line_count <= header_lines + 1:
            return head
    try:
        lines = raw.split(b"\r\n")
        if len(lines) - 1 > header_lines:
            raise HeadError(502, f"more than {header_lines} header lines")
        first = _status_lines.get(lines[0])
        version, status = first or _read_status_line(lines[0])
        fields, dropped, rememberable = read_fields(lines, table)
        head = ResponseHead(status, version, lines, fields)
        _response_framing(head)
        if dropped:
            head.untouched = False
            for line in dropped:
                lines.remove(line)
            lines = head.lines = _response_connection(head, lines)
        elif version == b"HTTP/1.0":
            head.closes = True
    except HeadError as error:
        raise HeadError(502, error.why) from error
    if version == b"HTTP/1.0":
        lines[0] = b"HTTP/1.1" + lines[0][8:]
        head.untouched = False
    if rememberable and first is not None:
        table.remember(raw, head)
    return head


def _read_status_line(line: bytes) -> tuple[bytes, int]:
    match = _STATUS_LINE(line)
    if match is None:
        raise HeadError(502, "the status line is not HTTP/1.1 STATUS REASON")
    read = match[1], int(match[2])
    if len(line) <= _LONGEST_REMEMBERED and len(_status_lines) < LINES_REMEMBERED:
        _status_lines[line] = read
    return read


def _response_framing(head: ResponseHead) -> None:
    fields = head.fields
    length = fields.get(b"content-length")
    if length is not None:
        head.content_length = int(length.value)
        if head.content_length and (head.status < 200 or head.status == 204):
            # Such an answer has no body. A client that believes the length all the same would take the next
            # answer on its connection for one.
            raise HeadError(502, "Content-Length where no body is allowed")
    if b"transfer-encoding" in fields:
        if length is not None:
            raise HeadError(502, "Content-Length and Transfer-Encoding are both there")
        if head.version == b"HTTP/1.0" or head.status < 200 or head.status == 204:
            raise HeadError(502, "Transfer-Encoding where none is allowed")
        head.chunked = True


def _response_connection(head: ResponseHead, lines: list[bytes]) -> list[bytes]:
    """Apply Connection and Upgrade; returns the lines to forward."""
    fields = head.fields
    connection = fields.get(b"connection")
    tokens = () if connection is None else connection.tokens
    for token in NOT_TO_BE_NAMED.intersection(tokens):
        raise HeadError(502, f"Connection names {token.decode()}")
    named = frozenset(tokens) - KNOWN_CONNECTION_TOKENS
    if named:
        lines = lines_without(lines, named)
    head.closes = b"close" in tokens or (head.version == b"HTTP/1.0" and b"keep-alive" not in tokens)
    upgrade = fields.get(b"upgrade")
    if head.status == 101 and upgrade is not None:
        return [*lines, b"connection: upgrade", b"upgrade: " + upgrade.value]
    return lines
