"""Flags about clients that are slow or keep connections open, for the two processes that have clients.

What an operator must be able to fit to what stands before us: a load balancer that keeps connections for longer
than we do sends requests into those that we have just closed; and who is slow holds what others need.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable

from queue_proxy.flag_types import count
from queue_proxy.http import HttpLimits

_DEFAULTS = HttpLimits()
_FILES_PER_CONNECTION = 2
"""A client's, and the one to the model on which its request goes on."""
_FILES_BESIDES = 64


def add_client_flags(parser: argparse.ArgumentParser, seconds: Callable[[str], float]) -> None:
    """Add them to `parser`; `seconds` reads a number of seconds."""
    add = parser.add_argument
    add(
        "--head-seconds",
        type=_positive(seconds),
        default=_DEFAULTS.head_seconds,
        metavar="S",
        help="from a request's first byte to the end of its head; slower is answered with 408",
    )
    add(
        "--body-seconds",
        type=seconds,
        default=_DEFAULTS.body_seconds,
        metavar="S",
        help="how long a request that occupies the model may leave it waiting for its body; slower is answered "
        "with 408; 0: no bound",
    )
    add(
        "--keep-alive-seconds",
        type=_positive(seconds),
        default=_DEFAULTS.idle_seconds,
        metavar="S",
        help="how long an idle connection stays open; longer than the load balancer before us keeps it",
    )
    add(
        "--connections",
        type=_connections,
        default=_DEFAULTS.connections,
        metavar="N",
        help="clients of one service that may be connected at once; one too many is answered with 503; 0: no bound",
    )


def client_limits(given: argparse.Namespace) -> HttpLimits:
    """The engine's limits as the flags say."""
    return HttpLimits(
        head_seconds=given.head_seconds,
        body_seconds=given.body_seconds,
        idle_seconds=given.keep_alive_seconds,
        connections=given.connections,
    )


def _connections(text: str) -> int:
    """As many as the process can open files for: it raises its own limit to the hard one when it starts."""
    connections = count(0)(text)
    needed = _FILES_PER_CONNECTION * connections + _FILES_BESIDES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if connections and hard != resource.RLIM_INFINITY and needed > hard:
        raise argparse.ArgumentTypeError(
            f"{connections} clients need {needed} open files, two for each of them, and the hard limit of this process "
            f"is {hard} (RLIMIT_NOFILE); at most {max(0, hard - _FILES_BESIDES) // _FILES_PER_CONNECTION} can be served"
        )
    return connections


def _positive(seconds: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = seconds(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"must be more than 0 seconds, not {text!r:.80}")
        return value

    return read
