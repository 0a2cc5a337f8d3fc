"""The notice period: how long a process that is to end still takes new connections.

Whoever leads clients to it (kube-proxy, a gateway) learns later than the process itself that it ends: the pod is
marked, EndpointSlices are written, every node's rules follow. Until then new connections come, and a closed door would
be a failed request for each. So the door stays open for a least time, then until nobody has come for a moment, and for
a most time in any case. Answers of that time say `Connection: close`, and HTTP/2 connections are told to go away.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from queue_proxy.flag_types import seconds

QUIET_SECONDS = 0.25
"""Without a new connection for so long, nobody is led here any more."""

_USED_WITHIN_SECONDS = 5.0
_LEAST_PATIENCE_SECONDS = 1.0


class Notice(NamedTuple):
    """Seconds during which new connections are taken after the order to end."""

    least: float
    most: float

    def within(self, bound: float) -> Notice:
        """The same, but over after `bound` seconds."""
        return Notice(min(self.least, bound), min(self.most, bound))


HANDED_OVER = Notice(0.0, 2.0)
"""For inherited listening sockets: who handed them over accepts from them, or has led clients elsewhere before."""


async def until_nobody_comes(
    notice: Notice,
    came: Callable[[], int],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Wait for the end of the notice period; `came` is how many connections have come so far."""
    began = last_at = clock()
    seen = came()
    while True:
        now = clock()
        if (count := came()) != seen:
            seen, last_at = count, now
        ends = min(max(began + notice.least, last_at + QUIET_SECONDS), began + notice.most)
        if now >= ends:
            return
        await sleep(min(ends - now, QUIET_SECONDS))


def idle_patience(noticed: float) -> float:
    """Seconds for which an idle connection is kept yet, when answers have said for `noticed` seconds that it ends.

    A client may have its next request under way on a connection that looks idle from here, and one that is closed at
    that moment loses it. Who has had five seconds and sent nothing seldom sends in just the moment of the close.
    """
    return max(_LEAST_PATIENCE_SECONDS, _USED_WITHIN_SECONDS - noticed)


def add_notice_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of both data-path processes. The least is what slices and kube-proxies take in a busy cluster."""
    parser.add_argument(
        "--notice-seconds",
        type=seconds,
        default=5.0,
        metavar="S",
        help="after SIGTERM new connections are taken for at least so long; not for inherited sockets",
    )
    parser.add_argument(
        "--longest-notice-seconds",
        type=seconds,
        default=15.0,
        metavar="S",
        help="after SIGTERM new connections are taken for at most so long, if they do not end before",
    )


def notice_from(given: argparse.Namespace) -> Notice:
    """What the flags say; the longest is never shorter than the least."""
    return Notice(given.notice_seconds, max(given.notice_seconds, given.longest_notice_seconds))
