"""Tickets: what stands in a limiter's line, and where it can be between its arrival and its end."""

from __future__ import annotations

from enum import Enum


class TicketState(Enum):
    """Where a ticket is. WAITING and RUNNING are followed by one of the others; those are final.

    WAITING   in line
    RUNNING   holds a slot
    DONE      gave its slot back
    REFUSED   the line was full when it came
    EXPIRED   waited as long as the bounds allow
    LEFT      went away while it waited
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"
    LEFT = "left"


class Ticket:
    """One arrival. Whoever has something to let in derives a class of his own from it: an object beside each ticket
    would know its ticket and be known by it, and such pairs stay in memory until the garbage collector comes.

    Written by the limiter; compare `state`, never change it. `arrived_at` is the time from which its wait counts, in
    seconds of the caller's clock.
    """

    __slots__ = ("arrived_at", "size", "state")

    arrived_at: float
    size: int
    state: TicketState

    def most_bytes(self) -> int:
        """The most memory that it can take while it waits. Asked once, if it has to wait, and counted as `size`."""
        return 0

    def __repr__(self) -> str:
        """For assertion messages."""
        return f"<{type(self).__name__} {self.state.value}>"
