"""Tickets: one for each request that comes to the hold, and what becomes of it.

A ticket ends exactly once: released to an endpoint, refused with a reason, or taken away because its client left.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from activator.lines import Band, Tenant

Waiter = TypeVar("Waiter")
Place = TypeVar("Place")


class Regime(Enum):
    """What a waiting request waits for."""

    NO_ENDPOINT = "no_endpoint"
    FULL = "full"


class Cause(Enum):
    """Why a request was refused."""

    TOO_MANY_WAITING = "too_many_waiting"
    TOO_MANY_BYTES_WAITING = "too_many_bytes_waiting"
    TOO_MANY_WAITING_OVER_ALL = "too_many_waiting_over_all"
    TOO_MANY_BYTES_WAITING_OVER_ALL = "too_many_bytes_waiting_over_all"
    PUT_OUT = "put_out"
    WAITED_TOO_LONG = "waited_too_long"
    DRAINING = "draining"


class TicketState(Enum):
    """HELD is the only state in which the hold still owes something."""

    HELD = "held"
    RELEASED = "released"
    REFUSED = "refused"
    LEFT = "left"


class Ticket(Generic[Waiter]):
    """One request. `number` is its place in the order of arrival, `size` the bytes of memory counted for it."""

    __slots__ = ("arrived_at", "band", "number", "size", "state", "tenant", "waiter")

    def __init__(
        self, waiter: Waiter, number: int, size: int, arrived_at: float, band: Band = Band.NORMAL, tenant: Tenant = b""
    ) -> None:
        self.waiter = waiter
        self.number = number
        self.size = size
        self.arrived_at = arrived_at
        self.band = band
        self.tenant = tenant
        self.state = TicketState.HELD

    def __repr__(self) -> str:
        return f"Ticket({self.number}, {self.state.value})"


@dataclass(frozen=True, slots=True)
class Released(Generic[Waiter, Place]):
    """Forward this request to that place: room for it has been taken there."""

    ticket: Ticket[Waiter]
    place: Place


@dataclass(frozen=True, slots=True)
class Refused(Generic[Waiter]):
    """Answer this request: 503 in the NO_ENDPOINT regime and when draining, 429 when endpoints are full."""

    ticket: Ticket[Waiter]
    cause: Cause
    regime: Regime
    retry_after: int


@dataclass(frozen=True, slots=True)
class Held(Generic[Waiter]):
    """Nothing to do now: it waits."""

    ticket: Ticket[Waiter]
