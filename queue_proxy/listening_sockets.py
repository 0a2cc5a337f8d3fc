"""Listening sockets: made here, or inherited from whoever must keep them when this process ends."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from queue_proxy.process import StartError

BACKLOG = 4_096
"""Connections that may wait in the kernel to be accepted, as far as it allows so many."""


class Address(NamedTuple):
    """Where to listen: `host:port`, or the listening socket that was inherited as descriptor `fd`."""

    host: str = ""
    port: int = 0
    fd: int | None = None

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.host}:{self.port}" if self.fd is None else f"fd:{self.fd}"


def take_socket(flag: str, address: Address) -> socket.socket:
    """A listening socket: a new one, or the one that was inherited. Raises StartError, which names `flag`."""
    sock = _made(flag, address) if address.fd is None else _inherited(flag, address, address.fd)
    sock.setblocking(False)
    return sock


def _made(flag: str, address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise StartError(f"{flag} {address}: cannot listen there: {error.strerror}") from error
    except OSError as error:
        # The library's own text repeats the address.
        why = os.strerror(error.errno) if error.errno else error
        raise StartError(f"{flag} {address}: cannot listen there: {why}") from error
    except UnicodeError as error:
        raise StartError(f"{flag} {address}: cannot listen there: not a host name") from error


def _inherited(flag: str, address: Address, fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartError(f"{flag} {address}: not an inherited socket: {error.strerror}") from error
    if not listening or sock.type != socket.SOCK_STREAM:
        raise StartError(f"{flag} {address}: a socket, but it does not listen")
    return sock
