"""The fields of a request in HTTP/2: validated and encoded once, then recognised.

As with the lines of HTTP/1 (`queue_proxy.http.fields`), most fields of a call are those of the call before. Those that
were valid are remembered, encoded, with what they mean; those whose names are secret or unique for each call are not,
and of them the name is. Everything is bounded.
"""

from __future__ import annotations

import re
from typing import Final

from queue_proxy.http.fields import LONGEST_NAME_REMEMBERED, SECRET_OR_UNIQUE, VALUES_PER_NAME, Field
from queue_proxy.http2.hpack import encode, literal_name, literal_value
from queue_proxy.http2.hpack_table import Pair

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?").fullmatch
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch

_OF_ONE_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
NOT_FORWARDED: Final = frozenset({b"proxy-authorization", b"proxy-authenticate", b"http2-settings"})
_HIDDEN: Final = b"pilotlight-"
_NOTED: Final = frozenset({b"user-agent", b"expect", b"content-type"})

_REMEMBERED: Final = 1_024
_LONGEST_REMEMBERED: Final = 256


class MalformedError(Exception):
    """A field, or a head, breaks the protocol. Its argument says why, and names no value."""


class _Name:
    """What is known of a valid name. `room` is how many more of its fields are remembered, `literal` how one begins.
    `plain`: its fields are forwarded and mean nothing, so that only their values are to be checked."""

    __slots__ = ("forwarded", "literal", "noted", "plain", "room")

    def __init__(self, name: bytes) -> None:
        self.forwarded = is_forwarded(name) and name != b"host"
        self.noted = name in _NOTED or not is_forwarded(name)
        self.literal = literal_name(name)
        own_rules = name in (b"content-length", b"host")
        # Long names first: to search one of 60 KB takes ten milliseconds.
        is_short = len(name) <= LONGEST_NAME_REMEMBERED
        is_remembered = is_short and self.forwarded and not own_rules and not SECRET_OR_UNIQUE(name)
        self.room = VALUES_PER_NAME if is_remembered else 0
        self.plain = self.forwarded and not self.noted and not own_rules and name != b"te"


_names: dict[bytes, _Name] = {}
_known: dict[Pair, tuple[bytes, Field | None]] = {}


class RequestFields:
    """The fields of one request, without pseudo-headers, in their order.

    forwarded, encoded  those that are forwarded, and each as it stands in a block
    noted               those that mean something to a proxy, the first of each name
    recur               all are of those that are remembered
    """

    __slots__ = ("_secret", "content_length", "encoded", "forwarded", "host", "noted", "recur")

    def __init__(self, pairs: list[Pair], secret: frozenset[bytes]) -> None:
        """`secret`: names that are never indexed. Raises MalformedError."""
        self._secret = secret
        self.encoded: list[bytes] = []
        self.noted: dict[bytes, Field] = {}
        self.content_length: int | None = None
        self.host: bytes | None = None
        self.recur = True
        dropped: list[Pair] = []
        add = self.encoded.append
        recall, facts_of = _known.get, _names.get
        for pair in pairs:
            known = recall(pair)
            if known is None or (secret and pair[0] in secret):
                name, value = pair
                facts = facts_of(name)
                if facts is not None and facts.plain and not facts.room and not secret and _VALUE(value):
                    self.recur = False
                    add(facts.literal + literal_value(value))
                    continue
                known = self._read(pair)
                if known is None:
                    dropped.append(pair)
                    continue
            encoded, noted = known
            add(encoded)
            if noted is not None:
                self.noted.setdefault(noted.name, noted)
        self.forwarded = [pair for pair in pairs if pair not in dropped] if dropped else pairs

    def _read(self, pair: Pair) -> tuple[bytes, Field | None] | None:
        """Check a field; None when it is not forwarded."""
        name, value = pair
        facts = _names.get(name) or _learn(name)
        check_value(name, value)
        if name == b"content-length":
            if self.content_length is not None or not _LENGTH(value):
                raise MalformedError("content-length is there twice, or is not a number of at most 18 digits")
            self.content_length = int(value)
        elif name == b"host":
            if self.host is not None:
                raise MalformedError("host is there twice")
            self.host = value
        field = Field(name, value, dropped=not facts.forwarded) if facts.noted else None
        if not facts.forwarded:
            if field is not None:
                self.noted.setdefault(name, field)
            self.recur = False
            return None
        if name in self._secret:
            self.recur = False
            return encode((pair,), self._secret), field
        if facts.room and len(name) + len(value) <= _LONGEST_REMEMBERED:
            if len(_known) >= _REMEMBERED:
                _start_anew()
            facts.room -= 1
            known = _known[pair] = (encode((pair,)), field)
            return known
        self.recur = self.recur and name == b"content-length"
        return facts.literal + literal_value(value), field


def _learn(name: bytes) -> _Name:
    check_name(name)
    facts = _Name(name)
    if len(name) <= LONGEST_NAME_REMEMBERED:
        if len(_names) >= _REMEMBERED:
            _start_anew()
        _names[name] = facts
    return facts


def _start_anew() -> None:
    _names.clear()
    _known.clear()


def is_forwarded(name: bytes) -> bool:
    """Whether a request's field of this name is passed on."""
    return name not in NOT_FORWARDED and not name.startswith(_HIDDEN)


def check_name(name: bytes) -> None:
    """Raises MalformedError."""
    if name[:1] == b":":
        raise MalformedError("a pseudo-header behind a field")
    if not _NAME(name):
        raise MalformedError("a field name with a character that is not allowed, or in upper case")
    if name in _OF_ONE_CONNECTION:
        raise MalformedError(f"field {name.decode()} does not exist in HTTP/2")


def check_value(name: bytes, value: bytes) -> None:
    """Of a field with a valid name. Raises MalformedError."""
    if not _VALUE(value):
        raise MalformedError(f"field {name[:60].decode()} has a blank at an end, or a control character")
    if name == b"te" and value.lower() != b"trailers":
        raise MalformedError("te is not trailers")
