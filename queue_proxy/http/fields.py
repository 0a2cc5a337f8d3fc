"""Header lines: validated once, then recognised by their exact bytes.

Most lines of a head are the same from request to request. So a line that was valid is remembered with what it
means, in a bounded table, and the next head costs one dictionary lookup a line. Lines whose names are unique
per request or secret are never remembered: they would only push the others out, or stay in memory. A short head
of which every line may be remembered is remembered as a whole, too, and then costs one lookup altogether.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import filterfalse
from typing import Generic, TypeVar

from queue_proxy.http.lines import CHECKS, LINE, HeadError, what_is_wrong

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

_LONGEST_REMEMBERED = 256
LONGEST_NAME_REMEMBERED = 64
VALUES_PER_NAME = 64
_HEADS_REMEMBERED = 256
LONGEST_HEAD_REMEMBERED = 512
"""A longer one has an id or a secret nearly always, and only to look for it would cost a hash of all its bytes."""
_SAME_FOR_A_SECOND = b"date"
"""Neither secret nor worth remembering by itself, but all answers of one second have it."""

Head = TypeVar("Head")


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
    """What is known of raw header lines: `plain` are those that are forwarded and mean nothing, `known` has the Fields
    of others. Both may be read directly; for a line in neither call `read`. `heads` are whole heads by their bytes, for
    who parses them, and `messages` the same heads by all bytes of a message that has no body: read both directly, add
    with `remember`, and never change a head that is in them.

    noted    names that are forwarded and whose Field is wanted
    dropped  names that are never forwarded
    hidden   prefix of names that are never forwarded, b"" for none
    bound    lines remembered; when full the table starts anew
    refused  names that are not accepted
    """

    __slots__ = (
        *("_bound", "_dropped", "_hidden", "_names", "_noted", "_refused"),
        *("heads", "known", "messages", "passing", "plain"),
    )

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
        self.plain: set[bytes] = set()
        self.heads: dict[bytes, Head] = {}
        self.messages: dict[bytes, Head] = {}
        self.passing: dict[bytes, bool] = {}
        """Names, as spelt, whose lines mean nothing and are not remembered: all that is left to check is their
        bytes, and that is done for all of a head at once. True: a head that has it may be remembered."""

    def remember(self, raw: bytes, head: Head) -> None:
        """Have `heads` and `messages` know a head; when they are full they start anew."""
        if len(raw) <= LONGEST_HEAD_REMEMBERED:
            if len(self.heads) >= _HEADS_REMEMBERED:
                self.heads.clear()
                self.messages.clear()
            self.heads[raw] = head
            self.messages[raw + b"\r\n\r\n"] = head

    def read(self, line: bytes) -> Field:
        """Validate a line and say what it means. Raises HeadError."""
        match = LINE(line)
        if match is None:
            raise HeadError(400, what_is_wrong(line))
        spelling, value = match.groups()
        name = self._names.get(spelling) or self._learn(spelling)
        field = PLAIN if name.plain else _field(name.name, value.strip(b" \t"), name.dropped)
        if name.room and len(line) <= _LONGEST_REMEMBERED:
            if len(self.known) + len(self.plain) >= self._bound:
                self.known.clear()
                self.plain.clear()
            name.room -= 1
            if name.plain:
                self.plain.add(line)
            else:
                self.known[line] = field
        elif name.plain and not name.room and len(spelling) <= LONGEST_NAME_REMEMBERED:
            self.passing[spelling] = name.name == _SAME_FOR_A_SECOND
        return field

    def _learn(self, spelling: bytes) -> _Name:
        if len(self._names) >= self._bound:
            self._names.clear()
            self.known.clear()
            self.plain.clear()
            self.passing.clear()
        lower = spelling.lower()
        if lower in self._refused:
            raise HeadError(400, f"header {lower.decode()} is not accepted")
        dropped = lower in self._dropped or (bool(self._hidden) and lower.startswith(self._hidden))
        name = _Name(lower, plain=not dropped and lower not in self._noted, dropped=dropped)
        if len(spelling) <= LONGEST_NAME_REMEMBERED:
            self._names[spelling] = name
        return name


def read_fields(lines: list[bytes], table: FieldTable[Head]) -> tuple[dict[bytes, Field], list[bytes], bool]:
    """The fields that mean something, by name, the lines that are not forwarded, and whether all that is there may be
    remembered. `lines` are a head's, with the request or status line as the first. Raises HeadError."""
    fields: dict[bytes, Field] = {}
    dropped: list[bytes] = []
    passed: list[bytes] = []
    known, passing = table.known.get, table.passing.get
    rememberable = True
    unusual = filterfalse(table.plain.__contains__, lines)
    next(unusual)
    for line in unusual:
        field = known(line)
        if field is None:
            name, colon, _ = line.partition(b":")
            recurs = passing(name)
            if recurs is not None and colon:
                passed.append(line)
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
    if passed and _has_control_bytes(b"".join(passed)):
        for line in passed:
            table.read(line)
    return fields, dropped, rememberable


def _repeated(earlier: Field, later: Field) -> Field:
    if earlier.name in _ONLY_ONCE:
        raise HeadError(400, f"{earlier.name.decode()} is there more than once")
    return Field(earlier.name, earlier.value, earlier.dropped, earlier.tokens + later.tokens)


def _has_control_bytes(text: bytes) -> bool:
    """Whether there is one that no header line may have."""
    return len(text) != len(text.translate(None, _NOT_IN_A_LINE))


def _field(name: bytes, value: bytes, dropped: bool) -> Field:
    check = CHECKS.get(name)
    return Field(name, value, dropped, () if check is None else check(value))
