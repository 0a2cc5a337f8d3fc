"""One header line: what it must look like, its name and its value, and what the values must be that frame a message."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)").fullmatch
"""Matches a valid line: its name as spelt, and its value with the blanks around it."""
_TOKEN = re.compile(TOKEN).fullmatch
_HOST = re.compile(rb"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch
_LONGEST_LIST = 64


class HeadError(ValueError):
    """A head that is not accepted: `status` is the answer it gets, `why` says what is wrong and where.

    `why` never carries a header's value, which may be a secret.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def lines_without(lines: Sequence[bytes], unwanted: Set[bytes]) -> list[bytes]:
    """A head's lines without those of headers with these names (in lower case). One walk for all of them: a client may
    name thousands in one Connection header."""
    return [line for at, line in enumerate(lines) if at == 0 or name_of(line) not in unwanted]


def name_of(line: bytes) -> bytes:
    """The name of a valid header line, in lower case."""
    return line.partition(b":")[0].lower()


def value_of(line: bytes) -> bytes:
    """The value of a valid header line."""
    return line.partition(b":")[2].strip(b" \t")


def is_valid_line(line: bytes) -> bool:
    """Whether this is a header line: a token, a colon at once, no control byte."""
    return LINE(line) is not None


def _host(value: bytes) -> tuple[bytes, ...]:
    if _HOST(value) is None:
        raise HeadError(400, "Host is not a host name or address with an optional port")
    return ()


def _content_length(value: bytes) -> tuple[bytes, ...]:
    if _LENGTH(value) is None:
        raise HeadError(400, "Content-Length is not a number of at most 18 digits")
    return ()


def _transfer_encoding(value: bytes) -> tuple[bytes, ...]:
    if value.lower() != b"chunked":
        raise HeadError(501, "Transfer-Encoding other than chunked is not supported")
    return ()


def _expect(value: bytes) -> tuple[bytes, ...]:
    if value.lower() != b"100-continue":
        raise HeadError(417, "Expect other than 100-continue is not supported")
    return ()


def _list(value: bytes) -> tuple[bytes, ...]:
    tokens = tuple(token for token in _loose_list(value) if token)
    if not all(_TOKEN(token) for token in tokens):
        raise HeadError(400, "Connection is not a list of names")
    return tokens


def _loose_list(value: bytes) -> tuple[bytes, ...]:
    if value.count(b",") >= _LONGEST_LIST:
        raise HeadError(400, f"Connection, Upgrade or TE lists more than {_LONGEST_LIST} names")
    return tuple(token.strip(b" \t").lower() for token in value.split(b","))


CHECKS: Mapping[bytes, Callable[[bytes], tuple[bytes, ...]]] = {
    b"host": _host,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"expect": _expect,
    b"connection": _list,
    b"upgrade": _loose_list,
    b"te": _loose_list,
}
"""By name: raise HeadError when a value without the blanks around it is not what it must be, and return its members
where it is a list that matters."""


def what_is_wrong(line: bytes) -> str:
    """One sentence on an invalid line, naming the header if its name is readable, never its value."""
    if line[:1] in (b" ", b"\t"):
        return "a header line starts with a blank (folded lines are not accepted)"
    name, colon, _ = line.partition(b":")
    if not colon:
        return "a header line has no colon"
    if name.rstrip(b" \t") != name:
        return "a header line has a blank before its colon"
    if _TOKEN(name) is None:
        return "a header line has a name with a character that is not allowed"
    shown = name[:60].decode("ascii")
    return f"header {shown} has a control character in its value"
