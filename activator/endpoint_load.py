"""One endpoint: what it may be given, and what it has in flight."""

from __future__ import annotations

from collections import deque
from enum import Enum

from activator.messages import Endpoint


class Standing(Enum):
    """What an endpoint may be given.

    STARTING     nothing: nobody has said yet that it is ready
    READY        whatever it has room for
    UNREACHABLE  nothing until its back-off is over
    TRIAL        one request: its back-off is over but nothing has shown yet that it is back
    DRAINING     nothing: it finishes what it has
    GONE         nothing: the table no longer lists it; it exists only until its last request ends
    """

    # Members are single objects, and every request is counted by one.
    __hash__ = object.__hash__

    STARTING = "starting"
    READY = "ready"
    UNREACHABLE = "unreachable"
    TRIAL = "trial"
    DRAINING = "draining"
    GONE = "gone"


class EndpointLoad:
    """One endpoint and what it has in flight. Changed only by the `Endpoints` that it belongs to."""

    __slots__ = ("endpoint", "failures", "in_flight", "proven", "retry_at", "shared", "standing", "tokens")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.in_flight = 0
        self.standing = Standing.GONE
        self.proven = False
        self.failures = 0
        self.retry_at = 0.0
        self.shared = False
        self.tokens: deque[bytes] = deque()

    def __repr__(self) -> str:
        return f"EndpointLoad({self.endpoint.name}, {self.standing.value}, in_flight={self.in_flight})"
