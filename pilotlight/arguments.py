"""Types of command line values: each either gives a value or says what is allowed."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

DEFAULT_API = "127.0.0.1:7330"
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]/\s]+):(?P<port>\d{1,5})")


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        # Python converts no number of more than some thousand digits.
        if not (text.isascii() and text.isdigit() and len(text) < 100 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r:.80} is not a whole number between {least} and {most}")
        return int(text)

    return parse


def between(least: float, most: float, unit: str) -> Callable[[str], float]:
    """A finite number within bounds; `unit` is for the message."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r:.80} is not {unit} between {least:g} and {most:g}")
        return value

    return parse


seconds = between(0, 86_400, "a number of seconds")


def address(text: str) -> str:
    """HOST:PORT, IPv6 hosts in brackets; given back as it was."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT with a port of 1 to 65535")
    return text


def host_and_port(text: str) -> tuple[str, int]:
    """The parts of an `address`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
