"""Listening sockets that outlive the processes that accept from them.

`up` binds them and hands them to the activator, so that a connection made while an activator restarts waits in the
kernel and is not refused.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.errors import CommandError

# The kernel cuts this down to net.core.somaxconn.
_BACKLOG = 65_535


@dataclass(frozen=True, slots=True)
class Listener:
    """One service's socket."""

    service: str
    socket: socket.socket

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self.socket.getsockname()[1])


def bind_services(services: Sequence[str], host: str, first_port: int) -> tuple[Listener, ...]:
    """One listener for each service, on consecutive ports from `first_port`; 0 lets the kernel choose each.

    Raises CommandError naming port, service and flag; then nothing stays bound.
    """
    bound: list[Listener] = []
    try:
        for index, service in enumerate(services):
            port = first_port + index if first_port else 0
            if port > 65_535:
                raise CommandError(
                    f"--port {first_port}: {len(services)} services need ports up to {port}, beyond 65535"
                )
            bound.append(Listener(service, _bind(host, port, f"service {service}", "--port", "--host")))
    except CommandError:
        for listener in bound:
            listener.socket.close()
        raise
    return tuple(bound)


def check_free(host: str, port: int, purpose: str, flag: str) -> None:
    """Raises CommandError when nobody could listen there now."""
    _bind(host, port, purpose, flag, flag).close()


def bind_loopback() -> socket.socket:
    """A listening socket on a free port of loopback, for a component's own use."""
    return _bind("127.0.0.1", 0, "a component's own port", "--port", "--host")


def _bind(host: str, port: int, purpose: str, port_flag: str, host_flag: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CommandError(f"{host_flag}: {host!r} is not an address of this machine: {error.strerror}") from error
    listening = socket.socket(family, kind, protocol)
    try:
        # Without it, the port of a run that has just ended stays taken for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise CommandError(_why(error, host, port, purpose, port_flag, host_flag)) from error
    return listening


def _why(error: OSError, host: str, port: int, purpose: str, port_flag: str, host_flag: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} for {purpose} is in use on {host}; choose another with {port_flag}"
    if error.errno == errno.EACCES:
        return f"port {port} for {purpose} needs more rights; choose one from 1024 up with {port_flag}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host_flag}: {host} is not an address of this machine"
    return f"cannot listen on {host}:{port} for {purpose}: {error.strerror}"
