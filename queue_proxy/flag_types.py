"""Types of command-line flags that the queue proxy and the activator share: addresses, seconds, numbers.

Each raises ArgumentTypeError with what is allowed, which argparse puts behind the flag's name.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import NoReturn

from queue_proxy.listening_sockets import Address


class FlagParser(argparse.ArgumentParser):
    """argparse, with the error alone: the usage of so many flags would hide it."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """See ArgumentParser; but that takes the dashes of `--flag=--` away and leaves a flag without a value."""
        words = sys.argv[1:] if args is None else list(args)
        for word in words:
            if word.startswith("-") and word.endswith("=--"):
                self.error(f"argument {word.removesuffix('=--')}: expected one argument")
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and one line."""
        self.exit(2, f"{self.prog}: {message}\n")

    @property
    def flags(self) -> frozenset[str]:
        """Every flag that is taken, as it is written."""
        return frozenset(self._option_string_actions)


def address(text: str) -> Address:
    """`HOST:PORT` (0: any port), or `fd:N`."""
    if text.startswith("fd:"):
        number = text.removeprefix("fd:")
        if not (number.isascii() and number.isdecimal()) or len(number) > 7:
            raise argparse.ArgumentTypeError(f"must be fd:N with the number of a listening socket, not {text!r:.80}")
        return Address(fd=int(number))
    host, port = _host_port(text, lowest=0)
    return Address(host, port)


def endpoint(text: str) -> tuple[str, int]:
    """`HOST:PORT` to connect to."""
    return _host_port(text, lowest=1)


def seconds(text: str) -> float:
    """A number of seconds, finite and not negative."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e9:  # also false for NaN
        raise argparse.ArgumentTypeError(f"must be seconds within 0..1e9, not {text!r:.80}")
    return value


def count(lowest: int) -> Callable[[str], int]:
    """A whole number from `lowest`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) < lowest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {lowest} of at most 18 digits, not {text!r:.80}"
            )
        return int(text)

    return parse


def _host_port(text: str, lowest: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and len(port) <= 5):
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, not {text!r:.80}")
    if not lowest <= int(port) <= 65_535:
        raise argparse.ArgumentTypeError(f"must have a port within {lowest}..65535, not {text!r:.80}")
    return host, int(port)
