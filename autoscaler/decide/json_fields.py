"""Fields: reads typed values out of decoded JSON, and says by path what is wrong with the one that is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

Named = TypeVar("Named", bound=Enum)
Item = TypeVar("Item")

_MOST = 2**53  # whole numbers beyond it do not survive every JSON reader


class RecordError(ValueError):
    """A line of a recording is not what it should be: names the field, its value and what is allowed."""


class NotJsonError(RecordError):
    """A line is not JSON at all, as one is that was cut off."""


def as_object(body: object, what: str) -> Mapping[str, object]:
    """`body` as a JSON object. Raises RecordError."""
    if not isinstance(body, Mapping):
        raise RecordError(f"{what} must be an object, not {body!r:.80}")
    return body


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one object; `path` is where it stands. Every method raises RecordError."""

    body: Mapping[str, object]
    path: str

    def only(self, *names: str) -> None:
        """No field but these."""
        unknown = sorted(set(self.body) - set(names))
        if unknown:
            raise RecordError(f"{self._at(unknown[0])} is not a field")

    def text(self, name: str) -> str:
        """A text."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        return as_number(self._value(name), self._at(name))

    def number_or_none(self, name: str) -> float | None:
        """A finite number or null."""
        return None if self._value(name) is None else self.number(name)

    def whole(self, name: str) -> int:
        """A whole number."""
        return as_whole(self._value(name), self._at(name))

    def count(self, name: str) -> int:
        """A whole number that is not negative."""
        value = self.whole(name)
        if value < 0:
            raise self._wrong(name, "a number that is not negative", value)
        return value

    def one_of(self, name: str, kind: type[Named]) -> Named:
        """A member of an enum, by its value."""
        value = self._value(name)
        for member in kind:
            if member.value == value:
                return member
        raise self._wrong(name, f"one of {', '.join(str(member.value) for member in kind)}", value)

    def one_of_or_none(self, name: str, kind: type[Named]) -> Named | None:
        """A member of an enum or null."""
        return None if self._value(name) is None else self.one_of(name, kind)

    def items(self, name: str, read: Callable[[object, str], Item]) -> tuple[Item, ...]:
        """A list, each item read by `read(item, path)`."""
        value = self._value(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return tuple(read(item, f"{self._at(name)}[{index}]") for index, item in enumerate(value))

    def inner(self, name: str) -> Fields:
        """An object."""
        path = self._at(name)
        return Fields(as_object(self._value(name), path), path)

    def _value(self, name: str) -> object:
        if name not in self.body:
            raise RecordError(f"{self._at(name)} is missing")
        return self.body[name]

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _wrong(self, name: str, allowed: str, value: object) -> RecordError:
        return RecordError(f"{self._at(name)} must be {allowed}, not {value!r:.80}")


def as_number(value: object, path: str) -> float:
    """A finite number as a float. Raises RecordError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{path} must be a number, not {value!r:.80}")
    if abs(value) > 1e300 or not math.isfinite(value):
        raise RecordError(f"{path} must be finite, not {value!r:.80}")
    return float(value)


def as_whole(value: object, path: str) -> int:
    """A whole number. Raises RecordError."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST:
        raise RecordError(f"{path} must be a whole number, not {value!r:.80}")
    return value
