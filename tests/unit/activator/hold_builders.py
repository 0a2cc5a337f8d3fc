"""A hold, the room that it has, and requests that come to it."""

from __future__ import annotations

from activator.hold import Hold
from activator.messages import HoldBounds
from activator.tickets import Held, Refused, Ticket

BOUNDS = HoldBounds(requests=100, bytes=1_000, no_endpoint_seconds=60.0, full_seconds=20.0)


class Places:
    """Room as a number, and readiness as a switch."""

    def __init__(self, free: int = 0, *, any_ready: bool = False) -> None:
        self.free = free
        self.any_ready = any_ready

    def take(self) -> str | None:
        if not self.any_ready or self.free == 0:
            return None
        self.free -= 1
        return "place"


def hold_with(places: Places, bounds: HoldBounds = BOUNDS) -> Hold[str, str]:
    return Hold(places, bounds, 0.0)


def held(hold: Hold[str, str], now: float, name: str, size: int = 0) -> Ticket[str]:
    effect = hold.arrive(now, name, size)
    assert isinstance(effect, Held)
    return effect.ticket


def refusal(hold: Hold[str, str], now: float, name: str = "late", size: int = 0) -> Refused[str]:
    effect = hold.arrive(now, name, size)
    assert isinstance(effect, Refused)
    return effect
