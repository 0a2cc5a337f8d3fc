"""What asyncio's transports do not offer: ways to end a connection, and a look at one that is not being read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct

_CLOSED_BY_PEER = frozenset({7, 8})  # TCP_CLOSE and TCP_CLOSE_WAIT
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def spare_congestion_control(transport: asyncio.BaseTransport) -> None:
    """Have the kernel send to this machine's own loopback as simply as it can.

    Nothing is lost or congested there. But where BBR is the default it measures and paces even that, which costs 3 to
    5 % of all CPU of a small request.
    """
    sock, peer = transport.get_extra_info("socket"), transport.get_extra_info("peername")
    if sock is not None and isinstance(peer, tuple) and (peer[0] == "::1" or peer[0].startswith("127.")):
        # Where it may not be chosen, the default stays.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def close_quietly(transport: asyncio.Transport) -> None:
    """Send what is buffered and the end of our side."""
    with contextlib.suppress(OSError, RuntimeError):
        if not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    """End it with a reset, which no reader can take for a valid end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def peer_has_closed(transport: asyncio.Transport) -> bool:
    """Whether the other side has ended, also while we do not read and so are not told. TCP on Linux only."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _CLOSED_BY_PEER


def end_if_quiet(transport: asyncio.Transport) -> bool:
    """Whether a connection that is to be closed while it is idle may be: False when bytes have come that the event loop
    has not told of yet.

    An event loop closes a transport in its next turn, and what arrives until then is lost. So the end of our side is
    sent here, with nothing between the look and that. What is still buffered is sent before the end, by `close`.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or transport.is_closing() or transport.get_write_buffer_size():
        return True
    with socket.socket(fileno=os.dup(sock.fileno())) as same:
        try:
            if same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                return False
        except BlockingIOError:
            with contextlib.suppress(OSError):
                same.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has ended already
    return True
