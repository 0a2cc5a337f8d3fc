"""A machine that is gone says nothing, and so does one whose network is: whoever waits for it would wait for ever.

The kernel can tell, because a machine that is there acknowledges what comes, also while its process is busy. It is told
how long to wait for that, and to ask where nothing is being sent.
"""

from __future__ import annotations

import socket
from asyncio.trsock import TransportSocket
from typing import NamedTuple


class MachineSilence(NamedTuple):
    """Seconds: how long what was sent may stay unacknowledged; how long nothing comes until the kernel asks, and asks
    again."""

    unacknowledged: float
    ask_after: int
    ask_again: int


OF_A_REPLICA = MachineSilence(unacknowledged=20.0, ask_after=10, ask_again=5)
"""What a request that is being answered may wait."""

OF_THE_CONTROL_LINK = MachineSilence(unacknowledged=1.5, ask_after=1, ask_again=1)
"""Between activator and controller something is said each second."""


def end_when_lost(sock: socket.socket | TransportSocket | None, silence: MachineSilence) -> None:
    """Have the kernel end a TCP connection whose other machine is silent for so long. Others never leave the machine;
    and a transport that has ended has no socket."""
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1_000 * silence.unacknowledged))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, silence.ask_after)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, silence.ask_again)
