"""A visit: one request on its way through the activator, from its arrival to the end of its answer.

It is the waiter in the hold, the lease of a place at an endpoint, and the one who gets comments while it waits: one
object per request, so that there is one owner of what the request occupies, whichever way it ends.
"""

from __future__ import annotations

from typing import Protocol

from activator.endpoint_load import EndpointLoad
from activator.tickets import Regime, Ticket
from queue_proxy.http import Exchange, Outcome


class Host(Protocol):
    """Who decides about visits: the dispatcher of their service."""

    @property
    def waits_for(self) -> Regime:
        """What waiting visits wait for."""
        ...

    def ended(self, visit: Visit, outcome: Outcome) -> None:
        """Its exchange has given the place back."""
        ...


class Visit:
    """`ticket` is its place in the hold's order, `load` the endpoint where it occupies a place (None while waiting),
    and `token` what it brings there when others use that endpoint, too."""

    __slots__ = ("commented", "exchange", "forwarded_at", "host", "load", "ticket", "token", "waiting_since")

    ticket: Ticket[Visit]

    def __init__(self, host: Host, exchange: Exchange, now: float) -> None:
        self.host = host
        self.exchange = exchange
        self.load: EndpointLoad | None = None
        self.token: bytes | None = None
        self.waiting_since = now
        self.forwarded_at = 0.0
        self.commented = False

    def release(self, outcome: Outcome) -> None:
        """The lease of its exchange: called once for each time that it was forwarded."""
        self.host.ended(self, outcome)

    def forget_ticket(self) -> None:
        """It has ended. Its ticket knows it, too: two that know each other stay in memory until the garbage collector
        comes."""
        del self.ticket

    def send_comment(self, now: float) -> None:
        """Tell the client what it waits for and how long it has."""
        if not self.commented:
            self.commented = True
            self.exchange.begin_events()
        what = "a replica to become ready" if self.host.waits_for is Regime.NO_ENDPOINT else "a free place at a replica"
        self.exchange.comment(f"waited {now - self.waiting_since:.0f} s for {what}".encode())
