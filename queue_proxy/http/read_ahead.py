"""What clients have sent ahead, of all connections of a process together.

Each connection has a bound of its own: reading from it pauses. But ten thousand connections may stand in line, and each
of them at its bound is more memory than there is: then the process is killed, and everybody's requests with it. So
there is a second bound, over all. Who sends ahead beyond it loses what it sent ahead, and its connection after the
answer that it waits for; it has to send again what was not answered, as anybody who sends ahead must be ready to
(RFC 9112 section 9.3.2). A request with nothing behind it never comes here.
"""

from __future__ import annotations

MOST_READ_AHEAD_BYTES = 16 * 1024 * 1024
"""Clients that wait for their answers need none of it."""
USUAL_HEAD_BYTES = 4_096
"""A head up to this is part of what every connection and every waiting request costs, and is bounded by their number;
more of it is counted."""


class ReadAhead:
    """`size` bytes are held now, `most` may be."""

    __slots__ = ("most", "size")

    def __init__(self, most: int = MOST_READ_AHEAD_BYTES) -> None:
        self.most = most
        self.size = 0

    def exchanges(self, held: int, wanted: int) -> bool:
        """One connection wants to hold `wanted` bytes instead of `held`; False, and nothing changes, when that is
        more and the bound is passed by it. Less is always granted."""
        size = self.size - held + wanted
        if wanted > held and size > self.most:
            return False
        self.size = size
        return True
