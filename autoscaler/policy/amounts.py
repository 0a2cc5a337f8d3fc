"""Kinds of values that are numbers: how each is written, within which bounds, and the sentence that says so.

All are read exactly and compared with their bounds before they become floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
