"""What an exchange knows of the connection that it came on.

The connection makes its exchanges and so knows them; these protocols are how they speak to it without a circle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, Protocol

from queue_proxy.http.connections import Connections
from queue_proxy.http.contract import HttpLimits


class Client(Protocol):
    """The connection that an exchange came on."""

    server: Connections
    clock: Callable[[], float]
    looked_at_by: float

    def look_at(self, at: float) -> None:
        """Have `expire` called not later than `at`."""
        ...


class Http1Client(Client, Protocol):
    """The connection that an exchange came on, and that its answer goes back on. `full`: it takes no more for now."""

    BODY_HELD: ClassVar[int]
    UPSTREAM_FULL: ClassVar[int]

    transport: asyncio.Transport
    limits: HttpLimits
    full: bool

    @property
    def is_blocked(self) -> bool:
        """Whether reading pauses."""
        ...

    def write(self, data: bytes) -> None:
        """Send to the client."""
        ...

    def block(self, why: int) -> None:
        """Pause reading until `why` is unblocked."""
        ...

    def unblock(self, why: int) -> None:
        """Take `why` back; read again when no other reason is left."""
        ...

    def take_ahead(self) -> bytes:
        """What the client has sent beyond its request."""
        ...

    def finish(self, *, closing: bool, linger: bool) -> None:
        """The exchange has ended and its answer is written. `linger`: the client may still be sending."""
        ...

    def cut(self, framed: bool) -> None:
        """End an answer that is not whole, in a way that its client can see."""
        ...

    def hand_over(self, protocol: asyncio.Protocol, first: bytes) -> None:
        """Send `first` and give the transport to another protocol; this one ends."""
        ...
