"""How numbers, durations and quantities are written: read exactly, and written back the way a user would.

Texts are read as exact fractions and become floats only after they were compared with their bounds. So neither NaN,
infinity nor an exponent of a thousand gets in, and `0.1s` is not a little more than `100ms`.
"""

from __future__ import annotations

import re
from fractions import Fraction as Exact

_LONGEST_TEXT = 64
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NOT_FINITE = re.compile(r"[+-]?(\.?nan|\.?inf(inity)?)%?", re.IGNORECASE)
_STEP = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_STEPS = re.compile(rf"([+-]?)((?:{_STEP.pattern})+)")
_SECONDS = {
    "ns": Exact(1, 10**9),
    "us": Exact(1, 10**6),
    "\N{MICRO SIGN}s": Exact(1, 10**6),
    "\N{GREEK SMALL LETTER MU}s": Exact(1, 10**6),
    "ms": Exact(1, 1000),
    "s": Exact(1),
    "m": Exact(60),
    "h": Exact(3600),
}
_BYTES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([A-Za-z]*)")


class NotAllowedError(ValueError):
    """A text is not a value of its kind; the message reads on from the text."""


def checked(text: str) -> str:
    """`text`, if it can be a value of any kind at all. Raises NotAllowedError."""
    if not text:
        raise NotAllowedError("is empty")
    if len(text) > _LONGEST_TEXT:
        raise NotAllowedError(f"is longer than {_LONGEST_TEXT} characters")
    if text != text.strip():
        raise NotAllowedError("has spaces around it")
    return text


def read_whole(text: str) -> Exact:
    """An integer. Raises NotAllowedError."""
    if not _WHOLE.fullmatch(text):
        raise NotAllowedError("is not a whole number")
    return Exact(text)


def read_number(text: str) -> Exact:
    """A decimal number, with or without an exponent. Raises NotAllowedError."""
    if _NOT_FINITE.fullmatch(text):
        raise NotAllowedError("is not a finite number")
    if not _NUMBER.fullmatch(text):
        raise NotAllowedError("is not a number")
    return Exact(text)


def read_seconds(text: str) -> Exact:
    """A duration in Go's notation; only zero needs no unit. Raises NotAllowedError."""
    if _NOT_FINITE.fullmatch(text):
        raise NotAllowedError("is not a finite duration")
    if _NUMBER.fullmatch(text):
        if Exact(text) == 0:
            return Exact(0)
        raise NotAllowedError(f"has no unit: write {text}s if seconds are meant")
    match = _STEPS.fullmatch(text)
    if match is None:
        raise NotAllowedError("is not a duration; write it like 1m30s, 60s or 500ms")
    total = sum((Exact(number) * _SECONDS[unit] for number, unit in _STEP.findall(match[2])), start=Exact(0))
    return -total if match[1] == "-" else total


def read_bytes(text: str) -> Exact:
    """A quantity of bytes in Kubernetes' notation, without its exponents and milli-units. Raises NotAllowedError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise NotAllowedError("is not a quantity of bytes")
    unit = _BYTES.get(match[2])
    if unit is None:
        raise NotAllowedError(f"has the unit {match[2]}, which is not one of {', '.join(u for u in _BYTES if u)}")
    return Exact(match[1]) * unit


def write_number(number: float) -> str:
    """Without an exponent while that is readable."""
    return str(int(number)) if number % 1 == 0 and abs(number) < 10**15 else f"{number:g}"


def write_seconds(seconds: float) -> str:
    """The shortest way to write a duration that `read_seconds` reads back: 90 is `1m30s`."""
    left = Exact(str(seconds))
    if left == 0:
        return "0s"
    if left < 1:
        return f"{write_number(float(left * 1000))}ms"
    parts = []
    for unit in ("h", "m"):
        count = left // _SECONDS[unit]
        left -= count * _SECONDS[unit]
        if count:
            parts.append(f"{count}{unit}")
    if left:
        parts.append(f"{write_number(float(left))}s")
    return "".join(parts)


def write_bytes(count: float) -> str:
    """In the largest power of 1024 that divides it."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if count % _BYTES[unit] == 0:
            return f"{int(count) // _BYTES[unit]}{unit}"
    return write_number(count)
