"""Kinds of values: what may be written in a key, with its bounds, and the sentence that says so.

A kind reads a text (`parse`), tells a user what is allowed (`allowed`), and says whether a value that comes from
elsewhere, such as a recording, lies within its bounds (`holds`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction as Exact
from typing import ClassVar, TypeGuard

from autoscaler.policy.notation import (
    NotAllowedError,
    checked,
    read_bytes,
    read_number,
    read_seconds,
    read_whole,
    write_bytes,
    write_number,
    write_seconds,
)

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, written as Go writes durations: `500ms`, `60s`, `1m30s`, `2h`."""

    lowest: float
    highest: float
    whole: bool = False
    name: ClassVar[str] = "duration"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        whole = ", in whole seconds" if self.whole else ""
        return f"a duration from {write_seconds(self.lowest)} to {write_seconds(self.highest)}{whole}"

    def parse(self, text: str) -> float:
        """Seconds. Raises NotAllowedError."""
        seconds = read_seconds(checked(text))
        _within(seconds, self.lowest, self.highest, write_seconds)
        if self.whole and seconds.denominator != 1:
            raise NotAllowedError("is not a whole number of seconds")
        return float(seconds)

    def holds(self, value: object) -> bool:
        """Whether `value` is such a number of seconds."""
        return _number_within(value, self.lowest, self.highest) and (not self.whole or _is_whole(value))


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """An integer within bounds, both included."""

    lowest: int
    highest: int
    name: ClassVar[str] = "whole number"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return f"a whole number from {self.lowest} to {self.highest}"

    def parse(self, text: str) -> int:
        """The integer. Raises NotAllowedError."""
        number = read_whole(checked(text))
        _within(number, self.lowest, self.highest, write_number)
        return int(number)

    def holds(self, value: object) -> bool:
        """Whether `value` is such a number."""
        return _number_within(value, self.lowest, self.highest) and _is_whole(value)


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds, both included unless `exclusive`: then it must be greater than `lowest`.

    `special` is one value below the bounds that has a meaning of its own.
    """

    lowest: float
    highest: float
    exclusive: bool = False
    special: float | None = None
    name: ClassVar[str] = "number"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        special = "" if self.special is None else f"{self.special:g}, or "
        bound = "greater than" if self.exclusive else "from"
        until = " and at most" if self.exclusive else " to"
        return f"{special}a number {bound} {self.lowest:g}{until} {write_number(self.highest)}"

    def parse(self, text: str) -> float:
        """The number. Raises NotAllowedError."""
        number = read_number(checked(text))
        if self.special is not None and number == Exact(str(self.special)):
            return self.special
        _within(number, self.lowest, self.highest, write_number)
        # Compared as a float: 1.00000000000000000001 is more than 1 only until it is stored.
        if self.exclusive and not float(number) > self.lowest:
            raise NotAllowedError(f"is not greater than {self.lowest:g}")
        return float(number)

    def holds(self, value: object) -> bool:
        """Whether `value` is such a number."""
        if self.special is not None and value == self.special:
            return True
        return _number_within(value, self.lowest, self.highest) and not (self.exclusive and value == self.lowest)


@dataclass(frozen=True, slots=True)
class Fraction:
    """A part or a multiple of something: `0.7`, or `70%`, which means the same."""

    lowest: float
    highest: float
    name: ClassVar[str] = "fraction"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        low, high = self.lowest, self.highest
        return f"a number from {low:g} to {high:g}, or a percentage from {low * 100:g}% to {high * 100:g}%"

    def parse(self, text: str) -> float:
        """The fraction. Raises NotAllowedError."""
        number = read_number(checked(text).removesuffix("%"))
        if text.endswith("%"):
            number /= 100
        _within(number, self.lowest, self.highest, write_number)
        return float(number)

    def holds(self, value: object) -> bool:
        """Whether `value` is such a fraction."""
        return _number_within(value, self.lowest, self.highest)


@dataclass(frozen=True, slots=True)
class Percentage:
    """A number of percent without the sign, as Knative writes them; becomes a fraction."""

    lowest: int
    highest: int
    name: ClassVar[str] = "percentage"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return f"a number of percent from {self.lowest} to {self.highest}, without the sign"

    def parse(self, text: str) -> float:
        """The fraction. Raises NotAllowedError."""
        if checked(text).endswith("%"):
            raise NotAllowedError("has a percent sign; write the number alone")
        number = read_number(text)
        _within(number, self.lowest, self.highest, write_number)
        return float(number / 100)

    def holds(self, value: object) -> bool:
        """Whether `value` is the fraction of such a percentage."""
        return _number_within(value, self.lowest / 100, self.highest / 100)


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    name: ClassVar[str] = "boolean"
    allowed: ClassVar[str] = "true or false"

    def parse(self, text: str) -> bool:
        """The truth. Raises NotAllowedError."""
        if checked(text) not in ("true", "false"):
            raise NotAllowedError("is neither true nor false")
        return text == "true"

    def holds(self, value: object) -> bool:
        """Whether `value` is a boolean."""
        return isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a few. `refused` says why a word that means something elsewhere is not taken here; `spelled` maps
    other spellings to the word they stand for."""

    words: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)
    name: ClassVar[str] = "word"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return " or ".join(filter(None, (", ".join(self.words[:-1]), self.words[-1])))

    def parse(self, text: str) -> str:
        """The word. Raises NotAllowedError."""
        word = self.spelled.get(checked(text), text)
        if word not in self.words:
            raise NotAllowedError(self.refused.get(word, "is not one of the words known here"))
        return word

    def holds(self, value: object) -> bool:
        """Whether `value` is one of the words."""
        return value in self.words


_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_OF_THE_PROTOCOL = ("content-", "transfer-", "pilotlight-")
# Words that somebody writes who means to switch something, or to leave it out.
_NO_HEADERS = ("connection", "host", "te", "upgrade", "expect", "true", "false", "on", "off", "null", "none")


@dataclass(frozen=True, slots=True)
class HeaderName:
    """The name of a request header; written in any case, kept in lower case. Empty in a recording: no header."""

    name: ClassVar[str] = "header name"
    allowed: ClassVar[str] = "a header of requests: 1 to 63 letters, digits, dashes and underscores, such as x-tenant"

    def parse(self, text: str) -> str:
        """The name in lower case. Raises NotAllowedError."""
        header = checked(text).lower()
        if not _HEADER_NAME.fullmatch(header):
            raise NotAllowedError("is not the name of a header")
        if header.startswith(_OF_THE_PROTOCOL) or header in _NO_HEADERS:
            raise NotAllowedError("is no header that a client's own meaning can have")
        return header

    def holds(self, value: object) -> bool:
        """Whether `value` is such a name, or empty."""
        if not isinstance(value, str):
            return False
        try:
            return value == "" or self.parse(value) == value
        except NotAllowedError:
            return False


@dataclass(frozen=True, slots=True)
class Quantity:
    """Bytes, written as Kubernetes writes them: `64Mi` (powers of 1024), `64M` (powers of 1000), `4096`."""

    lowest: int
    highest: int
    name: ClassVar[str] = "quantity"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return f"a quantity of bytes from {write_bytes(self.lowest)} to {write_bytes(self.highest)}, such as 64Mi"

    def parse(self, text: str) -> int:
        """Bytes. Raises NotAllowedError."""
        quantity = read_bytes(checked(text))
        _within(quantity, self.lowest, self.highest, write_bytes)
        if quantity.denominator != 1:
            raise NotAllowedError("is not a whole number of bytes")
        return int(quantity)

    def holds(self, value: object) -> bool:
        """Whether `value` is such a number of bytes."""
        return _number_within(value, self.lowest, self.highest) and _is_whole(value)


_NAME = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Name:
    """The name of something that stands elsewhere; whether it is there is not asked here."""

    of: str
    name: ClassVar[str] = "name"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return f"the name of {self.of}: 1 to 63 letters, digits, dashes, dots and underscores"

    def parse(self, text: str) -> str:
        """The name. Raises NotAllowedError."""
        if not _NAME.fullmatch(checked(text)):
            raise NotAllowedError("is not a name")
        return text

    def holds(self, value: object) -> bool:
        """Whether `value` is such a name."""
        return isinstance(value, str) and _NAME.fullmatch(value) is not None


PROFILE_NAME = Name("a profile")

Kind = Duration | WholeNumber | Number | Fraction | Percentage | Boolean | Choice | HeaderName | Quantity | Name


def _within(number: Exact, lowest: float, highest: float, write: Callable[[float], str]) -> None:
    """Raise NotAllowedError unless `number` lies between the two, exactly: 0.01 means one hundredth."""
    if number < Exact(str(lowest)):
        raise NotAllowedError(f"is below {write(lowest)}")
    if number > Exact(str(highest)):
        raise NotAllowedError(f"is above {write(highest)}")


def _number_within(value: object, lowest: float, highest: float) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return lowest <= value <= highest  # false for NaN, and right for integers that no float can hold


def _is_whole(value: int | float) -> bool:
    return value % 1 == 0
