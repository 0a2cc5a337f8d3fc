"""Listening sockets, with errors that name the address.

A controller that was killed leaves its unix socket behind; its successor takes the place. One that still listens
keeps it: two controllers on one socket would each see half of the activators.
"""

from __future__ import annotations

import os
import socket

from autoscaler.controller.settings import Address, SettingsError, TcpAddress, UnixAddress

_BACKLOG = 128


def listening_socket(address: Address) -> socket.socket:
    """A bound, listening socket. Raises SettingsError when the address cannot be had."""
    try:
        return _unix(address) if isinstance(address, UnixAddress) else _tcp(address)
    except OSError as error:
        raise SettingsError(f"cannot listen on {address}: {error.strerror or error}") from error


def _tcp(address: TcpAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)


def _unix(address: UnixAddress) -> socket.socket:
    path = str(address.path)
    if address.path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                address.path.unlink(missing_ok=True)
            else:
                raise SettingsError(f"cannot listen on {address}: another process does")
    listener = socket.socket(socket.AF_UNIX)
    # Only we may connect, from the first moment on: chmod after bind would leave a gap.
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener
