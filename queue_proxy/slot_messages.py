"""What an activator and a queue proxy say to each other about slots: short lines of text on one connection.

    activator → queue proxy   waiting N BAND AGE     a bid: N wait, the next is of that band and has waited AGE seconds
                              return TOKEN           a token comes back unused
    queue proxy → activator   activators N           how many are connected
                              grant TOKEN            one request may come with this token
                              recall TOKEN           return it, unless it is used

The connection is an HTTP request for `PATH` on the admin port that upgrades to `PROTOCOL`. Ages instead of times, so
that no clock has to agree with another.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from queue_proxy.messages import MessageError

PATH = "/slots"
PROTOCOL = "pilotlight-slots"
SLOT_HEADER = b"pilotlight-slot"
"""The header in which a request brings its token."""

LONGEST_LINE = 128
MOST_WAITING = 1_000_000
BANDS = 3
_LONGEST_AGE = 86_400.0
_TOKEN = re.compile(rb"[0-9a-f]{1,64}").fullmatch
_NUMBER = re.compile(rb"[0-9]{1,7}").fullmatch


@dataclass(frozen=True, slots=True)
class Bid:
    """How many wait, the band of the next of them, and for how many seconds it has waited."""

    waiting: int
    band: int
    age: float

    def to_line(self) -> bytes:
        """As sent."""
        return b"waiting %d %d %.6f\n" % (min(self.waiting, MOST_WAITING), self.band, self.age)


@dataclass(frozen=True, slots=True)
class Return:
    """A token comes back unused."""

    token: bytes

    def to_line(self) -> bytes:
        """As sent."""
        return b"return %b\n" % self.token


@dataclass(frozen=True, slots=True)
class Activators:
    """How many activators are connected."""

    number: int

    def to_line(self) -> bytes:
        """As sent."""
        return b"activators %d\n" % self.number


@dataclass(frozen=True, slots=True)
class Granted:
    """One request may come with this token."""

    token: bytes

    def to_line(self) -> bytes:
        """As sent."""
        return b"grant %b\n" % self.token


@dataclass(frozen=True, slots=True)
class Recalled:
    """The token shall come back, unless it is used."""

    token: bytes

    def to_line(self) -> bytes:
        """As sent."""
        return b"recall %b\n" % self.token


FromActivator = Bid | Return
FromQueueProxy = Activators | Granted | Recalled


def parse_from_activator(line: bytes) -> FromActivator:
    """Read one line, without its end. Raises MessageError."""
    word, *rest = line.split(b" ")
    if word == b"return" and len(rest) == 1:
        return Return(_token(rest[0]))
    if word == b"waiting" and len(rest) == 3:
        waiting, band = _number(rest[0]), _number(rest[1])
        if band >= BANDS or waiting > MOST_WAITING:
            raise MessageError(f"a bid must have a band below {BANDS} and at most {MOST_WAITING} waiting")
        return Bid(waiting, band, _age(rest[2]))
    raise MessageError(f"neither a bid nor a return: {line[:40]!r}")


def parse_from_queue_proxy(line: bytes) -> FromQueueProxy:
    """Read one line, without its end. Raises MessageError."""
    word, _, rest = line.partition(b" ")
    if word == b"grant":
        return Granted(_token(rest))
    if word == b"recall":
        return Recalled(_token(rest))
    if word == b"activators":
        return Activators(_number(rest))
    raise MessageError(f"neither a grant, a recall nor a number of activators: {line[:40]!r}")


class LineSplitter:
    """Whole lines out of what comes in parts."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now. Raises MessageError when one is longer than any message."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE or any(len(line) > LONGEST_LINE for line in lines):
            raise MessageError(f"a line of more than {LONGEST_LINE} bytes")
        return lines


def _token(text: bytes) -> bytes:
    if _TOKEN(text) is None:
        raise MessageError(f"a token must be 1 to 64 hexadecimal digits, not {text[:40]!r}")
    return text


def _number(text: bytes) -> int:
    if _NUMBER(text) is None:
        raise MessageError(f"must be a whole number of at most 7 digits, not {text[:40]!r}")
    return int(text)


def _age(text: bytes) -> float:
    try:
        age = float(text)
    except ValueError:
        age = math.nan
    if not 0 <= age <= _LONGEST_AGE:  # also false for NaN
        raise MessageError(f"an age must be seconds within 0..{_LONGEST_AGE:g}, not {text[:40]!r}")
    return age
