"""Port numbers for models, which must bind themselves what we choose for them.

Nobody can hold a port for another process, so: numbers outside of the range from which the kernel gives outgoing
connections theirs, tried by binding, kept by us while a replica has them, and always the next ones, so that a replica
that lost a race for its port gets another when it is started again.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

_FIRST, _LAST = 20_000, 32_767
_ENOUGH = 1_000


class NoPortError(Exception):
    """Every port of the range is taken."""


class PortRange:
    """Ports `first`..`last`, dealt in turn from a random place, so that two runs on one machine seldom meet."""

    def __init__(self, first: int = _FIRST, last: int = _LAST) -> None:
        self._first = first
        below_ephemeral = ephemeral_ports()[0] - first
        # Where the kernel was told to give away nearly everything, there is nowhere else to go.
        self._count = min(last - first + 1, below_ephemeral if below_ephemeral >= _ENOUGH else last)
        self._next = random.randrange(self._count)  # noqa: S311 - spreading, not secrecy
        self._taken: set[int] = set()

    def take(self, count: int) -> tuple[int, ...]:
        """`count` ports on which nobody listens. Raises NoPortError."""
        found: list[int] = []
        for _ in range(self._count):
            port = self._first + self._next
            self._next = (self._next + 1) % self._count
            if port not in self._taken and is_free(port):
                found.append(port)
                if len(found) == count:
                    self._taken.update(found)
                    return tuple(found)
        raise NoPortError(f"of {self._count} ports from {self._first} on, fewer than {count} are free")

    def give_back(self, ports: tuple[int, ...]) -> None:
        """Their replica has ended."""
        self._taken.difference_update(ports)


def is_free(port: int) -> bool:
    """Whether a model could listen there, on all addresses or on loopback."""
    with socket.socket() as attempt:
        try:
            attempt.bind(("", port))
        except OSError:
            return False
    return True


def ephemeral_ports() -> tuple[int, int]:
    """From where to where the kernel chooses ports for outgoing connections."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    except OSError:
        return 32_768, 60_999
    return int(first), int(last)


def listen_on_loopback() -> socket.socket:
    """A listening socket; connections made to it wait in the kernel until a process that inherits it accepts them."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
