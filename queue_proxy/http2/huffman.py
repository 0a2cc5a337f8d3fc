"""The Huffman code of HPACK (RFC 7541 appendix B), decoded.

The code is canonical: codes of one length follow each other in the order of their symbols, and lengths follow
each other. So the lengths are the whole table, and everything else is computed from them.

Only decoding is here: what we send is read on the next machine, where bytes cost less than the time to squeeze them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

# fmt: off
LENGTHS: Final = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,  # EOS
)
"""Bits of each symbol's code: the 256 bytes, then the end of string (EOS)."""
# fmt: on

_EOS: Final = 256
_SHORT: Final = 8
_LONGEST: Final = 30


class HuffmanError(ValueError):
    """Bits that are no string in this code."""


def codes() -> dict[tuple[int, int], int]:
    """Every symbol by its length and code."""
    table: dict[tuple[int, int], int] = {}
    code = 0
    for length in range(1, _LONGEST + 1):
        for symbol, its_length in enumerate(LENGTHS):
            if its_length == length:
                table[length, code] = symbol
                code += 1
        code <<= 1
    return table


def _first_bytes(table: dict[tuple[int, int], int]) -> list[tuple[int, int] | None]:
    """By the next eight bits: the symbol that they begin with and its length, None if that is longer."""
    first: list[tuple[int, int] | None] = [None] * 256
    for (length, code), symbol in table.items():
        if length <= _SHORT:
            start = code << (_SHORT - length)
            for bits in range(start, start + (1 << (_SHORT - length))):
                first[bits] = (symbol, length)
    return first


_CODES = codes()
_FIRST = _first_bytes(_CODES)


def decode(data: bytes) -> bytes:
    """The string that `data` encodes. Raises HuffmanError.

    Strings come again and again, so short ones are remembered.
    """
    return _remembered(data) if len(data) <= 64 else _decode(data)


def _decode(data: bytes) -> bytes:
    symbols = bytearray()
    bits = 0  # the bits that are not decoded yet, `count` of them
    count = 0
    for byte in data:
        bits = bits << 8 | byte
        count += 8
        while count >= _SHORT:
            found = _FIRST[bits >> (count - _SHORT)]
            if found is None:
                found = _long_symbol(bits, count)
                if found is None:
                    break
            symbol, length = found
            symbols.append(symbol)
            count -= length
            bits &= (1 << count) - 1
    return _end(symbols, bits, count)


def _end(symbols: bytearray, bits: int, count: int) -> bytes:
    """What is left are short symbols and then padding: less than a byte of the EOS code's first bits, all ones."""
    while count >= 5:
        found = _FIRST[(bits << _SHORT >> count) & 0xFF] if count < _SHORT else None
        if found is None or found[1] > count:
            break
        symbol, length = found
        symbols.append(symbol)
        count -= length
        bits &= (1 << count) - 1
    if count >= _SHORT or bits != (1 << count) - 1:
        raise HuffmanError("a Huffman string with wrong padding")
    return bytes(symbols)


def _long_symbol(bits: int, count: int) -> tuple[int, int] | None:
    """The symbol at the front, None when more bits are needed."""
    for length in range(_SHORT + 1, min(count, _LONGEST) + 1):
        symbol = _CODES.get((length, bits >> (count - length)))
        if symbol is not None:
            if symbol == _EOS:
                raise HuffmanError("the end-of-string symbol inside of a string")
            return symbol, length
    return None


_remembered = lru_cache(maxsize=1_024)(_decode)
