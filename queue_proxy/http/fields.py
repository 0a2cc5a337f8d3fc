"""Header lines: validated once, then recognised by their exact bytes.

Most lines of a head are the same from request to request. So a line that was valid is remembered with what it
means, in a bounded table, and the next head costs one dictionary lookup a line. Lines whose names are unique
per request or secret are never remembered: they would only push the others out, or stay in memory. A short head
of which every line may be remembered is remembered as a whole, too, and then costs one lookup altogether.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Generic, TypeVar

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)").fullmatch
_TOKEN = re.compile(TOKEN).fullmatch
_HOST = re.compile(rb"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch

SECRET_OR_UNIQUE = re.compile(
    rb"auth|cookie|token|key|secret|session|signature|credential|password|nonce|trace|span|b3|(?:^|-)id$"
    rb"|date|time(?!out)|etag|modified|range|match|forwarded(?!-host|-port|-proto)|real-ip|client-ip|sec-websocket"
    rb"|^age$|^expires$"
).search
"""Finds such a name, in lower case."""

OF_ONE_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade"})
"""Headers that a proxy never passes on, besides those that Connection names."""

NOT_TO_BE_NAMED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
"""Headers that Connection must not name: dropping one would change what the message is."""

KNOWN_CONNECTION_TOKENS = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
LINES_REMEMBERED = 256
"""How many request lines, and how many status lines, are remembered."""

_ONLY_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})
_NOT_IN_A_LINE = bytes(byte for byte in range(32) if byte != 0x09) + b"\x7f"

_LONGEST_LIST = 64
_LONGEST_REMEMBERED = 256
LONGEST_NAME_REMEMBERED = 64
VALUES_PER_NAME = 64
_HEADS_REMEMBERED = 256
_LONGEST_HEAD_REMEMBERED = 1_024
_SAME_FOR_A_SECOND = b"date"
"""Neither secret nor worth remembering by itself, but all answers of one second have it."""

Head = TypeVar("Head")


class HeadError(ValueError):
    """A head that is not accepted: `status` is the answer it gets, `why` says what is wrong and where.

    `why` never carries a header's value, which may be a secret.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A header line that means something to a proxy.

    `name` is in lower case, `value` without the blanks around it; `tokens` are the members of a list, in lower
    case, for the names where the list matters; `dropped` lines are not forwarded.
    """

    name: bytes
    value: bytes
    dropped: bool = False
    tokens: tuple[bytes, ...] = ()


PLAIN = Field(b"", b"")
"""Any line that is forwarded untouched and means nothing to us."""


class _Name:
    """What is known of one spelling of a header's name; `room` is how many more of its lines are remembered."""

    __slots__ = ("dropped", "name", "plain", "room")

    def __init__(self, name: bytes, plain: bool, dropped: bool) -> None:
        self.name = name
        self.plain = plain
        self.dropped = dropped
        # Long names first: to search one of 60 KB takes ten milliseconds.
        is_remembered = len(name) <= LONGEST_NAME_REMEMBERED and not SECRET_OR_UNIQUE(name)
        self.room = VALUES_PER_NAME if is_remembered else 0


class FieldTable(Generic[Head]):
    """Maps raw header lines to Fields. `known` may be read directly; on a miss call `read`. `heads` are whole heads by
    their bytes, for who parses them: read it directly, add with `remember`, and never change a head that is in it.

    noted    names that are forwarded and whose Field is wanted
    dropped  names that are never forwarded
    hidden   prefix of names that are never forwarded, b"" for none
    bound    lines remembered; when full the table starts anew
    refused  names that are not accepted
    """

    __slots__ = ("_bound", "_dropped", "_hidden", "_names", "_noted", "_refused", "heads", "known", "passing")

    def __init__(
        self,
        noted: frozenset[bytes],
        dropped: frozenset[bytes],
        hidden: bytes = b"",
        bound: int = 2_048,
        refused: frozenset[bytes] = frozenset(),
    ) -> None:
        self._noted = noted
        self._dropped = dropped
        self._hidden = hidden
        self._refused = refused
        self._bound = bound
        self._names: dict[bytes, _Name] = {}
        self.known: dict[bytes, Field] = {}
        self.heads: dict[bytes, Head] = {}
        self.passing: dict[bytes, bool] = {}
        """Names, as spelt, whose lines mean nothing and are not remembered: all that is left to check is their
        bytes, and `has_only_lines` does that for a whole head at once. True: a head that has it may be remembered."""

    def remember(self, raw: bytes, head: Head) -> None:
        """Have `heads` know a head; when that is full it starts anew."""
        if len(raw) <= _LONGEST_HEAD_REMEMBERED:
            if len(self.heads) >= _HEADS_REMEMBERED:
                self.heads.clear()
            self.heads[raw] = head

    def read(self, line: bytes) -> Field:
        """Validate a line and say what it means. Raises HeadError."""
        match = _LINE(line)
        if match is None:
            raise HeadError(400, _what_is_wrong(line))
        spelling, value = match.groups()
        name = self._names.get(spelling) or self._learn(spelling)
        field = PLAIN if name.plain else _field(name.name, value.strip(b" \t"), name.dropped)
        if name.room and len(line) <= _LONGEST_REMEMBERED:
            if len(self.known) >= self._bound:
                self.known.clear()
            name.room -= 1
            self.known[line] = field
        elif name.plain and not name.room and len(spelling) <= LONGEST_NAME_REMEMBERED:
            self.passing[spelling] = name.name == _SAME_FOR_A_SECOND
        return field

    def _learn(self, spelling: bytes) -> _Name:
        if len(self._names) >= self._bound:
            self._names.clear()
            self.known.clear()
            self.passing.clear()
        lower = spelling.lower()
        if lower in self._refused:
            raise HeadError(400, f"header {lower.decode()} is not accepted")
        dropped = lower in self._dropped or (bool(self._hidden) and lower.startswith(self._hidden))
        name = _Name(lower, plain=not dropped and lower not in self._noted, dropped=dropped)
        if len(spelling) <= LONGEST_NAME_REMEMBERED:
            self._names[spelling] = name
        return name


def read_fields(
    raw: bytes, lines: list[bytes], table: FieldTable[Head]
) -> tuple[dict[bytes, Field], list[bytes], bool]:
    """The fields that mean something, by name, the lines that are not forwarded, and whether all that is there may be
    remembered."""
    fields: dict[bytes, Field] = {}
    dropped: list[bytes] = []
    passing = table.passing.get
    clean = False
    rememberable = True
    pairs = zip(lines, map(table.known.get, lines), strict=True)
    next(pairs)
    for line, field in pairs:
        if field is PLAIN:
            continue
        if field is None:
            name, colon, _ = line.partition(b":")
            recurs = passing(name)
            if recurs is not None and colon and (clean or has_only_lines(raw, len(lines))):
                clean = True
                rememberable = rememberable and recurs
                continue
            field = table.read(line)
            rememberable = False
            if field is PLAIN:
                continue
        name = field.name
        if field.dropped:
            dropped.append(line)
        if name in fields:
            field = _repeated(fields[name], field)
        fields[name] = field
    return fields, dropped, rememberable


def _repeated(earlier: Field, later: Field) -> Field:
    if earlier.name in _ONLY_ONCE:
        raise HeadError(400, f"{earlier.name.decode()} is there more than once")
    return Field(earlier.name, earlier.value, earlier.dropped, earlier.tokens + later.tokens)


def has_only_lines(raw: bytes, lines: int) -> bool:
    """Whether a head that was split into `lines` has no control byte, and no CR or LF but between its lines."""
    # Each of the pairs at which it was split is two such bytes; any more stand inside of a line.
    return len(raw) - len(raw.translate(None, _NOT_IN_A_LINE)) == 2 * (lines - 1)


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
    return _LINE(line) is not None


def _field(name: bytes, value: bytes, dropped: bool) -> Field:
    check = _CHECKS.get(name)
    return Field(name, value, dropped, () if check is None else check(value))


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


_CHECKS: Mapping[bytes, Callable[[bytes], tuple[bytes, ...]]] = {
    b"host": _host,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"expect": _expect,
    b"connection": _list,
    b"upgrade": _loose_list,
    b"te": _loose_list,
}


def _what_is_wrong(line: bytes) -> str:
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
