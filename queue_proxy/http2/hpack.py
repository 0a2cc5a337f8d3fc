"""HPACK (RFC 7541): header blocks to fields and back.

The decoder is complete, with bounds on everything that a peer can make grow. The encoder has no dynamic table: what
it makes of a list of fields depends on that list alone, so it can be made once and sent on any connection, to any
peer, in any order. That is worth more to a proxy than the bytes that a table would save on its short hops, and a peer
that remembers what it decoded (as ours does) sees the same bytes every time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from queue_proxy.http2 import huffman
from queue_proxy.http2.frames import ErrorCode, Http2Error
from queue_proxy.http2.hpack_table import FIRST_DYNAMIC, INDEX_OF_NAME, INDEX_OF_PAIR, STATIC, Pair

_ENTRY_OVERHEAD: Final = 32
_TABLE_BYTES: Final = 4_096
_MOST_INTEGER_BYTES: Final = 4
_STATIC: Final = tuple((pair, len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD) for pair in STATIC)
_BOMB: Final = 16
"""A list this many times larger than allowed is no mistake: nobody waits for its end."""

NO_TABLE: Final = b"\x20"
"""A table size update to 0: must begin the next block after the peer has lowered its table (section 4.2)."""


class HeaderList(NamedTuple):
    """A decoded block.

    pairs      names and values, in their order
    secret     names of those that must never be indexed on any hop (section 7.1.3)
    too_large  the list is longer than was allowed, and `pairs` is only its beginning
    """

    pairs: list[Pair]
    secret: frozenset[bytes]
    too_large: bool


_NO_SECRETS: Final[frozenset[bytes]] = frozenset()


def _broken(why: str) -> Http2Error:
    return Http2Error(ErrorCode.COMPRESSION_ERROR, why)


_SHORT: Final = tuple(bytes((length,)) for length in range(0x7F))


class Decoder:
    """Decodes the blocks of one connection, in their order.

    `changes` counts what has changed the table. A block that did not change it means the same for as long as the
    count stays, so its owner may remember what it made of it.
    """

    __slots__ = ("_limit", "_size", "_table", "changes", "most_bytes", "most_fields")

    def __init__(self, most_bytes: int, most_fields: int) -> None:
        """At most so many fields, and bytes as the RFC counts them (name, value and 32 for each field)."""
        self.most_bytes = most_bytes
        self.most_fields = most_fields
        self.changes = 0
        # Each entry with its size, which counts with every block that has it.
        self._table: deque[tuple[Pair, int]] = deque()
        self._size = 0
        self._limit = _TABLE_BYTES

    def decode(self, block: bytes) -> HeaderList:
        """The fields of a block. Raises Http2Error.

        A list that is too large is still decoded to its end, since the next blocks build on the same table, but no
        more of it is kept: a block can mean four thousand times its own size.
        """
        pairs: list[Pair] = []
        secret: set[bytes] = set()
        room = self.most_bytes
        bomb = -_BOMB * room
        at = 0
        size = len(block)
        table = self._table
        while at < size:
            first = block[at]
            if first >= 0x80:
                if first == 0xFF:
                    index, at = _integer(block, at, 0x7F)
                    pair, cost = self._entry(index)
                else:
                    at += 1
                    index = first - 0x80 - FIRST_DYNAMIC
                    pair, cost = table[index] if 0 <= index < len(table) else self._entry(first & 0x7F)
            elif first >= 0x40:
                pair, at = self._literal(block, at, 0x3F)
                cost = self._add(pair)
            elif first >= 0x20:
                if pairs:
                    raise _broken("a table size update behind a field")
                limit, at = _integer(block, at, 0x1F)
                self._resize(limit)
                continue
            else:
                pair, at = self._literal(block, at, 0x0F)
                cost = len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD
                if first >= 0x10:
                    secret.add(pair[0])
            room -= cost
            if room >= 0:
                pairs.append(pair)
            elif room < bomb:
                raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "a header list far beyond what is allowed")
        too_large = room < 0 or len(pairs) > self.most_fields
        return HeaderList(pairs, frozenset(secret) if secret else _NO_SECRETS, too_large)

    def _entry(self, index: int) -> tuple[Pair, int]:
        if 0 < index < FIRST_DYNAMIC:
            return _STATIC[index - 1]
        try:
            if index == 0:
                raise IndexError
            return self._table[index - FIRST_DYNAMIC]
        except IndexError:
            raise _broken(f"index {index} is not in the table") from None

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Pair, int]:
        if block[at] & mask:
            index, at = _integer(block, at, mask)
            name = self._entry(index)[0][0]
        else:
            name, at = _string(block, at + 1)
        value, at = _string(block, at)
        return (name, value), at

    def _add(self, pair: Pair) -> int:
        self.changes += 1
        size = len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD
        self._size += size
        self._table.appendleft((pair, size))
        self._evict()
        return size

    def _resize(self, limit: int) -> None:
        if limit > _TABLE_BYTES:
            raise _broken(f"a table of {limit} bytes, and at most {_TABLE_BYTES} are allowed")
        if limit != self._limit:
            self.changes += 1
            self._limit = limit
            self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            self._size -= self._table.pop()[1]


def encode(pairs: Iterable[Pair], secret: frozenset[bytes] = frozenset()) -> bytes:
    """A block that means `pairs` to every decoder, whatever its table holds."""
    parts = []
    for pair in pairs:
        name, value = pair
        kind = 0x10 if name in secret else 0
        index = 0 if kind else INDEX_OF_PAIR.get(pair, 0)
        if index:
            parts.append(_encoded_integer(index, 0x80, 0x7F))
            continue
        index = INDEX_OF_NAME.get(name, 0)
        parts.append(_encoded_integer(index, kind, 0x0F))
        if not index:
            parts.append(literal_value(name))
        parts.append(literal_value(value))
    return b"".join(parts)


def literal_name(name: bytes) -> bytes:
    """How a field of this name begins that no decoder puts into its table; `literal_value` follows."""
    index = INDEX_OF_NAME.get(name, 0)
    if index:
        return _encoded_integer(index, 0, 0x0F)
    return b"\0" + literal_value(name)


def literal_value(value: bytes) -> bytes:
    """A string as it stands in a block, not compressed."""
    length = len(value)
    return (_SHORT[length] if length < 0x7F else _encoded_integer(length, 0, 0x7F)) + value


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """An integer that begins in the bits of `mask`, and where it ends (section 5.1). Raises Http2Error."""
    try:
        value = block[at] & mask
        at += 1
        if value < mask:
            return value, at
        for shift in range(0, 7 * _MOST_INTEGER_BYTES, 7):
            byte = block[at]
            at += 1
            value += (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
    except IndexError:
        raise _broken("a header block ends inside of an integer") from None
    raise _broken("a header block with an integer that is too large")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    size = len(block)
    if at < size and block[at] < 0x7F:
        end = at + 1 + block[at]
        if end <= size:
            return block[at + 1 : end], end
    squeezed = at < size and block[at] >= 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > size:
        raise _broken("a header block ends inside of a string")
    if not squeezed:
        return block[at:end], end
    try:
        return huffman.decode(block[at:end]), end
    except huffman.HuffmanError as error:
        raise _broken(str(error)) from None


def _encoded_integer(value: int, kind: int, mask: int) -> bytes:
    if value < mask:
        return bytes((kind | value,))
    encoded = bytearray((kind | mask,))
    value -= mask
    while value > 127:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
