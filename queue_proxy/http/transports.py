"""What asyncio's transports do not offer: ways to end a connection, and a look at one that is not being read."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct

_CLOSED_BY_PEER = frozenset({7, 8})  # TCP_CLOSE and TCP_CLOSE_WAIT
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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


def has_unread(transport: asyncio.Transport) -> bool:
    """Whether bytes of the other side, or its end, have come that the event loop has not told of yet."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.is_closing():
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
