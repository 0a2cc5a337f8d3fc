"""What a client is told that is refused: which status, why, and when to come back."""

from __future__ import annotations

from typing import TypeVar

from activator.tickets import Cause, Refused, Regime
from queue_proxy.http import Answer, error_answer

Waiter = TypeVar("Waiter")

_LACKING = {Regime.NO_ENDPOINT: "no replica is ready", Regime.FULL: "every replica is full"}
_WHY = {
    Cause.TOO_MANY_WAITING: "{lacking}, and as many requests wait as may wait",
    Cause.TOO_MANY_BYTES_WAITING: "{lacking}, and the bodies of waiting requests fill the memory that they may fill",
    Cause.TOO_MANY_WAITING_OVER_ALL: "{lacking}, and as many requests wait here, for all services, as may wait",
    Cause.TOO_MANY_BYTES_WAITING_OVER_ALL: "{lacking}, and the bodies that wait, for all services, fill the memory",
    Cause.PUT_OUT: "{lacking}, and this request made room for one of a higher priority or a tenant with fewer",
    Cause.WAITED_TOO_LONG: "{lacking}, and this request has waited as long as one may wait",
    Cause.DRAINING: "this activator ends, or no longer serves this service, and holds no requests",
}


def refusal_answer(refused: Refused[Waiter], service: str) -> Answer:
    """429 where replicas serve and are full, 503 where none is ready or this activator ends; always Retry-After."""
    full = refused.regime is Regime.FULL and refused.cause is not Cause.DRAINING
    why = _WHY[refused.cause].format(lacking=_LACKING[refused.regime])
    return error_answer(429 if full else 503, f"{service}: {why}", retry_after=refused.retry_after)
