"""Tables out of bytes: the fields of many rows at once, and numbers, times and texts out of them, by numpy.

A csv reader makes an object of every field, which is what reading a large trace mostly costs. Here fields are places
in a block of bytes. Plain decimals and timestamps are computed for all rows together, digit by digit; whatever looks
otherwise (exponents, blanks, quotes) takes the slow way through Python, row by row, with the same result.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulations.traces.source import BadRows, Block

_Places: TypeAlias = NDArray[np.int64]
_Mask: TypeAlias = NDArray[np.bool_]

_COMMA, _QUOTE, _NEWLINE, _RETURN, _DOT, _MINUS, _ZERO = (ord(sign) for sign in ',"\n\r.-0')
_MOST_DIGITS = 16  # fewer than 2**53, so that the division below rounds as float() does
_MOST_TEXT = 256
_TIMESTAMP = 19  # 2024-05-10 00:00:00
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 1)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a block: field c of row r is data[starts[r, c]:ends[r, c]]; `lines` are their line numbers."""

    data: NDArray[np.uint8]
    starts: _Places
    ends: _Places
    lines: _Places

    def __len__(self) -> int:
        return len(self.lines)

    def keep(self, rows: _Mask) -> Table:
        """Only these rows."""
        return self if bool(rows.all()) else Table(self.data, self.starts[rows], self.ends[rows], self.lines[rows])

    def field(self, row: int, column: int) -> str:
        """One field as text; bytes that are not UTF-8 show as �."""
        raw = self.data[self.starts[row, column] : self.ends[row, column]].tobytes()
        return raw.decode(errors="replace").strip()


def without_header(block: Block) -> Block:
    """The block without the first line of its file."""
    if block.first_line > 1:
        return block
    return Block(block.data.partition(b"\n")[2], 2)


def split(block: Block, columns: int, bad: BadRows) -> Table:
    """The fields of a block of comma-separated lines; rows with another number of fields go to `bad`."""
    data = np.frombuffer(block.data, np.uint8)
    line_ends = np.flatnonzero(data == _NEWLINE)
    line_starts = np.concatenate(([0], line_ends + 1))[:-1]
    lines = np.arange(block.first_line, block.first_line + len(line_ends))
    line_ends = line_ends - ((line_ends > line_starts) & (data[np.maximum(line_ends - 1, 0)] == _RETURN))
    commas = np.flatnonzero(data == _COMMA)
    first = np.searchsorted(commas, line_starts)
    counts = np.searchsorted(commas, line_ends) - first
    plain = (counts == columns - 1) & (line_ends > line_starts)
    if b'"' in block.data:
        quoted = np.zeros(len(lines), np.bool_)
        quoted[np.searchsorted(line_starts, np.flatnonzero(data == _QUOTE), side="right") - 1] = True
        plain &= ~quoted
    inner = commas[first[plain][:, None] + np.arange(columns - 1)]
    starts = np.empty((len(lines), columns), np.int64)
    ends = np.empty((len(lines), columns), np.int64)
    starts[plain, 0], starts[plain, 1:] = line_starts[plain], inner + 1
    ends[plain, -1], ends[plain, :-1] = line_ends[plain], inner
    if bool(plain.all()):
        return Table(data, starts, ends, lines)
    more = bytearray()
    usable = plain.copy()
    for row in np.flatnonzero(~plain).tolist():
        fields = _fields(block.data[line_starts[row] : line_ends[row]])
        if not fields:
            continue
        if len(fields) != columns:
            bad.bad(int(lines[row]), f"{len(fields)} fields; a row has {columns}")
            continue
        for column, text in enumerate(fields):
            starts[row, column] = len(data) + len(more)
            more += text
            ends[row, column] = len(data) + len(more)
        usable[row] = True
    together = np.concatenate((data, np.frombuffer(bytes(more), np.uint8))) if more else data
    return Table(together, starts[usable], ends[usable], lines[usable])


def numbers(table: Table, column: int, what: str, bad: BadRows, *, optional: bool) -> tuple[NDArray[np.float64], _Mask]:
    """A column of finite numbers, and which rows are good; an empty optional field is NaN, and good."""
    starts, width = table.starts[:, column], table.ends[:, column] - table.starts[:, column]
    rows = len(width)
    mantissa, decimals = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    after_dot = np.zeros(rows, np.bool_)
    plain = (width > 0) & (width <= _MOST_DIGITS)
    negative = plain & (table.data[np.where(plain, starts, 0)] == _MINUS)
    longest = int(width[plain].max()) if bool(plain.any()) else 0
    for place in range(longest):
        inside = place < width
        sign = table.data[np.where(plain & inside, starts + place, 0)]
        digit = sign - np.uint8(_ZERO)
        is_digit = inside & (digit <= 9)
        is_dot = inside & (sign == _DOT)
        plain &= ~inside | is_digit | (is_dot & ~after_dot) | (negative & (place == 0))
        mantissa = np.where(is_digit & plain, mantissa * 10 + digit, mantissa)
        decimals += is_digit & after_dot
        after_dot |= is_dot
    plain &= width > negative.astype(np.int64) + after_dot  # at least one digit
    values = mantissa / _POWERS[decimals * plain]
    values[negative] *= -1.0
    good = plain
    missing = (width == 0) if optional else np.zeros(rows, np.bool_)
    values[~plain] = np.nan
    for row in np.flatnonzero(~plain & ~missing).tolist():
        values[row] = _number(table.field(row, column))
        if math.isnan(values[row]) and not (optional and not table.field(row, column)):
            bad.bad(int(table.lines[row]), f"{what} is {table.field(row, column)!r:.80}; a finite number is needed")
        else:
            good[row] = True
    return values, good | missing


def timestamps(
    table: Table, column: int, what: str, bad: BadRows
) -> tuple[NDArray[np.int64], NDArray[np.float64], _Mask]:
    """A column of dates with times, as whole seconds since 1970 and a fraction, and which rows are good.

    2023-11-16 18:15:46.6805900, also with T and with Z or an offset; without one they are taken as UTC.
    """
    starts, width = table.starts[:, column], table.ends[:, column] - table.starts[:, column]
    plain = width >= _TIMESTAMP
    begin = np.where(plain, starts, 0)
    digits = np.zeros((len(width), _TIMESTAMP), np.int64)
    for place, form in enumerate("0000-00-00 00:00:00"):
        sign = table.data[np.where(plain, begin + place, 0)]
        if form == "0":
            digits[:, place] = (sign - np.uint8(_ZERO)).astype(np.int64)
            plain &= digits[:, place] <= 9
        else:
            plain &= (sign == ord(form)) | ((sign == ord("T")) & (form == " "))
    year = digits[:, 0] * 1000 + digits[:, 1] * 100 + digits[:, 2] * 10 + digits[:, 3]
    month, day, hour, minute, second = (digits[:, at] * 10 + digits[:, at + 1] for at in (5, 8, 11, 14, 17))
    # The 29th of February is left to Python, which knows leap years.
    plain &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= _MONTH_DAYS[month % 13]) & (year >= 1970)
    plain &= (hour < 24) & (minute < 60) & (second < 60)
    whole = _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    fraction, plain = _fractions(table, begin + _TIMESTAMP, np.where(plain, width - _TIMESTAMP, 0), plain)
    good = plain
    for row in np.flatnonzero(~plain).tolist():
        try:
            moment = datetime.fromisoformat(table.field(row, column))
        except ValueError:
            shown = f"{table.field(row, column)!r:.80}"
            bad.bad(int(table.lines[row]), f"{what} is {shown}; a time like 2024-05-10 00:00:00.5 is needed")
            continue
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        whole[row], fraction[row], good[row] = math.floor(seconds), seconds - math.floor(seconds), True
    return whole, fraction, good


def texts(table: Table, columns: Sequence[int], whats: Sequence[str], bad: BadRows) -> tuple[list[bytes], _Mask]:
    """Columns of short texts as bytes, joined by "/", and which rows are good."""
    good = np.ones(len(table), np.bool_)
    for column, what in zip(columns, whats, strict=True):
        width = table.ends[:, column] - table.starts[:, column]
        short = (width > 0) & (width <= _MOST_TEXT)
        for row in np.flatnonzero(~short).tolist():
            bad.bad(int(table.lines[row]), f"{what} has {width[row]} bytes; 1 to {_MOST_TEXT} are allowed")
        good &= short
    if len(columns) > 1 and bool((table.starts[:, columns[1:]] == table.ends[:, columns[:-1]] + 1).all()):
        # One after the other, with nothing but the comma between them: they are cut out together.
        joined = table.data.copy()
        joined[table.ends[:, columns[:-1]]] = ord("/")
        return _cut(joined.tobytes(), table.starts[:, columns[0]], table.ends[:, columns[-1]], good), good
    data = table.data.tobytes()
    parts = [_cut(data, table.starts[:, column], table.ends[:, column], good) for column in columns]
    return parts[0] if len(parts) == 1 else list(map(b"/".join, zip(*parts, strict=True))), good


def _cut(data: bytes, starts: _Places, ends: _Places, good: _Mask) -> list[bytes]:
    """A piece for each row; none of it for a row that is not good."""
    return [data[begin:end] for begin, end in zip(starts.tolist(), np.where(good, ends, starts).tolist(), strict=True)]


def _fields(line: bytes) -> list[bytes]:
    """The fields of one line with quotes in it; none for a blank line."""
    if not line.strip():
        return []
    try:
        return [field.encode() for field in next(csv.reader([line.decode(errors="replace")], strict=True))]
    except csv.Error:
        return [line]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and "_" not in text else math.nan


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01 of the Gregorian calendar, by years that begin in March."""
    shifted = year - (month <= 2)
    century = shifted // 100
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * shifted + shifted // 4 - century + century // 4 + of_year - 719_468


def _fractions(table: Table, begin: _Places, width: _Places, plain: _Mask) -> tuple[NDArray[np.float64], _Mask]:
    """What follows the seconds: nothing, or a fraction, with Z or +00:00 behind it or not."""
    rows = len(begin)
    value, decimals = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    ended = np.zeros(rows, np.bool_)
    for place in range(min(int(width.max(initial=0)), 1 + _MOST_DIGITS)):
        inside = (place < width) & plain & ~ended
        sign = table.data[np.where(inside, begin + place, 0)]
        digit = sign - np.uint8(_ZERO)
        is_digit = inside & (digit <= 9) & (place > 0) & (decimals < 15)
        value = np.where(is_digit, value * 10 + digit, value)
        decimals += is_digit
        rest = width - place
        zulu = inside & (sign == ord("Z")) & (rest == 1)
        if bool((inside & (sign == ord("+")) & (rest == 6)).any()):
            zero = np.ones(rows, np.bool_)
            for offset, form in enumerate("+00:00"):
                zero &= table.data[np.where(inside & (rest == 6), begin + place + offset, 0)] == ord(form)
            zulu |= inside & (rest == 6) & zero
        ended |= zulu
        plain &= ~inside | is_digit | zulu | ((sign == _DOT) & (place == 0))
    return value / _POWERS[decimals], plain & (ended | (width <= 1 + _MOST_DIGITS))
